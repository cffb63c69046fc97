-- The digest of the one finished file that a recording is cut from; null where its fragments came.
ALTER TABLE recordings ADD COLUMN file TEXT;
