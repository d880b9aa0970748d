-- The ledger: which revision of a job definition has which content. What is not in it is looked for
-- by the tag that definitions carry, so a row lost costs a call and nothing else.
CREATE TABLE definitions (
    content_hash   TEXT    NOT NULL, -- plan::definition, SHA-256 in hex
    region         TEXT    NOT NULL, -- definitions are a region's
    job_definition TEXT    NOT NULL, -- the ARN, revision included
    recorded_at    INTEGER NOT NULL, -- microseconds since 1970-01-01T00:00:00Z
    PRIMARY KEY (region, content_hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX definitions_by_arn ON definitions (job_definition);
