-- Whether its recorder's link says that it runs, and the media time at which its newest fragment ends.
ALTER TABLE recordings ADD COLUMN running BIGINT;
ALTER TABLE recordings ADD COLUMN newest_ns BIGINT;
