-- What changes of a demand, small enough to be rewritten at every transition. `state` is the JSON
-- of run::state::State; the columns beside it repeat what lists filter by.
CREATE TABLE demands (
    execution_id   TEXT    NOT NULL PRIMARY KEY,
    created_at     INTEGER NOT NULL, -- microseconds since 1970-01-01T00:00:00Z
    version        INTEGER NOT NULL, -- from 1; every change adds 1
    active         INTEGER NOT NULL, -- 1 while anything may still happen without a user asking
    status         TEXT    NOT NULL,
    phase          TEXT    NOT NULL,
    execution_type TEXT    NOT NULL,
    user           TEXT,
    submitted_by   TEXT,
    job_queue      TEXT    NOT NULL,
    tags           TEXT    NOT NULL, -- JSON object
    content_hash   TEXT    NOT NULL, -- of the canonical request, before defaults
    state          TEXT    NOT NULL
) STRICT;

CREATE INDEX demands_by_time ON demands (created_at DESC, execution_id DESC);
CREATE INDEX demands_by_status ON demands (status, created_at DESC, execution_id DESC);
CREATE INDEX demands_by_user ON demands (user, created_at DESC, execution_id DESC);
-- What the reconciler reads at every wake-up, without touching the table.
CREATE INDEX demands_active ON demands (active, execution_id, version) WHERE active = 1;

-- What never changes: the request as it was accepted, and its plan.
CREATE TABLE plans (
    execution_id TEXT NOT NULL PRIMARY KEY REFERENCES demands (execution_id) ON DELETE CASCADE,
    request      TEXT NOT NULL,
    plan         TEXT NOT NULL
) STRICT;

CREATE TABLE tags (
    key          TEXT NOT NULL,
    value        TEXT NOT NULL,
    execution_id TEXT NOT NULL REFERENCES demands (execution_id) ON DELETE CASCADE,
    PRIMARY KEY (key, execution_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_demand ON tags (execution_id);

-- Every transition, numbered from 1 without gaps in each demand.
CREATE TABLE events (
    execution_id TEXT    NOT NULL REFERENCES demands (execution_id) ON DELETE CASCADE,
    seq          INTEGER NOT NULL,
    at           INTEGER NOT NULL, -- microseconds since 1970-01-01T00:00:00Z
    type         TEXT    NOT NULL,
    step         TEXT,
    attempt      INTEGER NOT NULL,
    from_value   TEXT,
    to_value     TEXT,
    detail       TEXT,
    PRIMARY KEY (execution_id, seq)
) STRICT, WITHOUT ROWID;

-- Requests that name no execution_id are recognised by the key their sender gave them.
CREATE TABLE idempotency_keys (
    owner        TEXT NOT NULL, -- '' where nobody authenticated
    key          TEXT NOT NULL,
    execution_id TEXT NOT NULL REFERENCES demands (execution_id) ON DELETE CASCADE,
    PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_demand ON idempotency_keys (execution_id);

-- One row that readiness writes to.
CREATE TABLE probe (count INTEGER NOT NULL) STRICT;
INSERT INTO probe (count) VALUES (0);
