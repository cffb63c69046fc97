-- Other ids of an agent, as feeds write them.
ALTER TABLE agents ADD COLUMN aliases TEXT NOT NULL DEFAULT '[]';
-- Names that an administrator has assigned. An import does not touch them.
CREATE TABLE assignments (
    -- `agent` or `device`.
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    agent TEXT NOT NULL,
    author TEXT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);

-- Names in events that mean no agent.
CREATE TABLE unresolved (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    feed TEXT NOT NULL,
    events BIGINT NOT NULL,
    -- Arrival of the first and the last of these events.
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    PRIMARY KEY (kind, name, feed)
);

-- Why the footage was not made, if nothing hindered it: somebody else sat there.
ALTER TABLE footage ADD COLUMN not_made TEXT;
-- Another recorder that is connected at the same place and is commanded instead.
ALTER TABLE recorders ADD COLUMN occupied_by TEXT;
