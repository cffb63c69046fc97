-- Rows that are rewritten again and again: the proof that rows can be stored, and when the server last ran.
CREATE TABLE health (
    name TEXT NOT NULL PRIMARY KEY,
    -- Milliseconds since 1970.
    at BIGINT NOT NULL
);
