-- The recordings that footage became, each from when: one, or several if the recorder was interrupted.
CREATE TABLE footage_recordings (
    footage TEXT NOT NULL,
    recording TEXT NOT NULL,
    from_ms BIGINT NOT NULL,
    PRIMARY KEY (footage, recording)
);
CREATE INDEX footage_recordings_by_recording ON footage_recordings (recording);
INSERT INTO footage_recordings (footage, recording, from_ms)
    SELECT footage, recording, from_ms FROM footage WHERE recording IS NOT NULL;
INSERT INTO footage_recordings (footage, recording, from_ms)
    SELECT s.footage, s.recording, MIN(COALESCE(r.started, s.from_ms)) FROM segments s
    JOIN recordings r ON r.recording = s.recording
    WHERE s.footage IS NOT NULL AND s.footage <> s.recording GROUP BY s.footage, s.recording
    ON CONFLICT DO NOTHING;

-- Why nothing can be recorded at a place, and when; without a place, anywhere.
CREATE TABLE hindrances (
    id TEXT PRIMARY KEY,
    place TEXT,
    from_ms BIGINT NOT NULL,
    to_ms BIGINT,
    -- `line`, `recorder` or `server`: what reports it.
    source TEXT NOT NULL,
    cause TEXT NOT NULL
);
CREATE INDEX hindrances_by_place ON hindrances (place, from_ms);

-- When the server learned that the footage is wanted: its event may have come late.
ALTER TABLE footage ADD COLUMN learned BIGINT;

-- Of a closed recording: its footage and the stretches without, from its manifest, in JSON.
ALTER TABLE recordings ADD COLUMN coverage TEXT;
