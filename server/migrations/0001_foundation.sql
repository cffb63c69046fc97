-- What the server knows. One text for SQLite and PostgreSQL: TEXT and BIGINT alone. Times are milliseconds since 1970, in UTC;
-- lists and objects are JSON in TEXT. Ids that begin with a time sort by it.

-- Recorders, and who they are: the token itself is nowhere.
CREATE TABLE recorders (
    recorder TEXT PRIMARY KEY,
    place TEXT NOT NULL,
    token_sha256 TEXT NOT NULL UNIQUE,
    created BIGINT NOT NULL,
    revoked BIGINT,
    -- Of its link, as last heard.
    connected BIGINT,
    seen BIGINT,
    version TEXT,
    clock_offset_ms BIGINT,
    doing TEXT
);

CREATE TABLE enrolments (
    code_sha256 TEXT PRIMARY KEY,
    place TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    used BIGINT
);

-- What came from recorders.
CREATE TABLE recordings (
    recording TEXT PRIMARY KEY,
    recorder TEXT NOT NULL,
    created BIGINT NOT NULL,
    -- When something of it came last.
    touched BIGINT NOT NULL,
    -- Of its fragments.
    bytes BIGINT NOT NULL,
    agent TEXT,
    place TEXT,
    -- Media time zero, and the end of the last frame; of one that runs, as far as known.
    started BIGINT,
    ended BIGINT,
    about TEXT,
    manifest TEXT,
    closed BIGINT,
    deleted BIGINT,
    why_deleted TEXT
);
CREATE INDEX recordings_by_recorder ON recordings (recorder, closed);
CREATE INDEX recordings_by_agent ON recordings (agent, started);

CREATE TABLE fragments (
    recording TEXT NOT NULL,
    track TEXT NOT NULL,
    part BIGINT NOT NULL,
    number BIGINT NOT NULL,
    size BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    -- Nanoseconds of media time, and whether it begins with a keyframe; null where it is no fragment that we can read.
    start_ns BIGINT,
    duration_ns BIGINT,
    keyframe BIGINT,
    PRIMARY KEY (recording, track, part, number)
);

-- People.
CREATE TABLE users (
    name TEXT PRIMARY KEY,
    password TEXT NOT NULL,
    role TEXT NOT NULL,
    groups TEXT NOT NULL,
    agent TEXT,
    created BIGINT NOT NULL
);

CREATE TABLE sessions (
    token_sha256 TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    csrf TEXT NOT NULL,
    created BIGINT NOT NULL,
    used BIGINT NOT NULL
);

-- Of programs.
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    token_sha256 TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    groups TEXT NOT NULL,
    agent TEXT,
    created BIGINT NOT NULL,
    revoked BIGINT
);

CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT
);
CREATE INDEX audit_by_subject ON audit (subject, id);

-- The directory.
CREATE TABLE agents (agent TEXT PRIMARY KEY, name TEXT, grp TEXT, devices TEXT NOT NULL);
CREATE TABLE groups (name TEXT PRIMARY KEY, parent TEXT);
CREATE TABLE places (place TEXT PRIMARY KEY, name TEXT, devices TEXT NOT NULL);

-- Events as they were received; everything below can be made of them again.
CREATE TABLE events (id TEXT PRIMARY KEY, feed TEXT NOT NULL, received BIGINT NOT NULL, at BIGINT, body TEXT NOT NULL);

-- What was decided: footage of one agent, and which recording it became.
CREATE TABLE footage (
    footage TEXT PRIMARY KEY,
    agent TEXT NOT NULL,
    place TEXT,
    from_ms BIGINT NOT NULL,
    to_ms BIGINT,
    why TEXT NOT NULL,
    why_ended TEXT,
    recording TEXT,
    -- Why there is none, where there is none.
    missing TEXT
);
CREATE INDEX footage_by_recording ON footage (recording);
CREATE INDEX footage_by_time ON footage (agent, from_ms);

CREATE TABLE interactions (
    interaction TEXT PRIMARY KEY,
    media TEXT NOT NULL,
    direction TEXT,
    started BIGINT NOT NULL,
    ended BIGINT,
    deleted BIGINT
);
CREATE INDEX interactions_by_time ON interactions (started, interaction);

-- `origin`: `server` where it decided, `about` where a recorder did.
CREATE TABLE segments (
    id TEXT PRIMARY KEY,
    interaction TEXT NOT NULL,
    footage TEXT,
    recording TEXT,
    agent TEXT NOT NULL,
    place TEXT,
    call TEXT,
    role TEXT NOT NULL,
    from_ms BIGINT NOT NULL,
    to_ms BIGINT,
    why TEXT NOT NULL,
    origin TEXT NOT NULL
);
CREATE INDEX segments_by_interaction ON segments (interaction);
CREATE INDEX segments_by_recording ON segments (recording);
CREATE INDEX segments_by_agent ON segments (agent);
CREATE INDEX segments_by_call ON segments (call);

CREATE TABLE calls (
    interaction TEXT NOT NULL,
    call TEXT NOT NULL,
    direction TEXT,
    type TEXT,
    held TEXT NOT NULL,
    PRIMARY KEY (interaction, call)
);

CREATE TABLE attached (
    interaction TEXT NOT NULL,
    call TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (interaction, call, key)
);
CREATE INDEX attached_by_value ON attached (key, value);

CREATE TABLE tags (
    interaction TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (interaction, name, value)
);
CREATE INDEX tags_by_name ON tags (name, value);

CREATE TABLE labels (
    interaction TEXT NOT NULL,
    label TEXT NOT NULL,
    author TEXT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (interaction, label)
);
CREATE INDEX labels_by_label ON labels (label);

CREATE TABLE notes (
    id TEXT PRIMARY KEY,
    interaction TEXT NOT NULL,
    recording TEXT,
    at_ms BIGINT NOT NULL,
    author TEXT NOT NULL,
    text TEXT NOT NULL,
    label TEXT,
    created BIGINT NOT NULL
);
CREATE INDEX notes_by_interaction ON notes (interaction);

-- What may not be deleted, and who said so. It outlasts the interaction's rows, so that what comes late is held too.
CREATE TABLE holds (
    interaction TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    author TEXT NOT NULL,
    created BIGINT NOT NULL
);

-- How long what is kept: the first rule that an interaction fits.
CREATE TABLE retention (
    position BIGINT PRIMARY KEY,
    label TEXT,
    media TEXT,
    grp TEXT,
    days BIGINT NOT NULL
);
