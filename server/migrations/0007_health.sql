-- One row, rewritten each minute: the server's proof that rows can be stored.
CREATE TABLE health (
    name TEXT NOT NULL PRIMARY KEY,
    -- Milliseconds since 1970.
    at BIGINT NOT NULL
);
