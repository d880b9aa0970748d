-- When the last attempt ended, for those who remove what ended long ago; NULL while none has. It
-- repeats what `state` says.
ALTER TABLE demands ADD COLUMN finished_at INTEGER; -- microseconds since 1970-01-01T00:00:00Z
UPDATE demands
SET finished_at = CAST(unixepoch(json_extract(state, '$.finished_at'), 'subsec') * 1000000 AS INTEGER);
CREATE INDEX demands_finished ON demands (finished_at) WHERE active = 0;
