-- By how much the recorder's wall clock was behind the server's while it recorded; times in a manifest are the recorder's.
ALTER TABLE recordings ADD COLUMN clock_offset_ms BIGINT;
-- What is taken of the screen now, of a recording that runs: live, paused or masked.
ALTER TABLE recordings ADD COLUMN capture TEXT;
-- Events that came over its link: which numbering, and up to which number they are stored.
ALTER TABLE recorders ADD COLUMN stream TEXT;
ALTER TABLE recorders ADD COLUMN heard BIGINT;

CREATE INDEX segments_by_footage ON segments (footage);
