-- Why the footage was not made, if nothing hindered it: somebody else sat there.
ALTER TABLE footage ADD COLUMN not_made TEXT;
-- Another recorder that is connected at the same place and is commanded instead.
ALTER TABLE recorders ADD COLUMN occupied_by TEXT;
