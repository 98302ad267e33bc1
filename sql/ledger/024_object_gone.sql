-- A file that is gone keeps its place for some days: a page may begin behind it.

ALTER TABLE object ADD COLUMN gone_us INTEGER NOT NULL DEFAULT 0; -- since when; 0: it is there
CREATE INDEX object_gone ON object (gone_us) WHERE gone_us > 0;
