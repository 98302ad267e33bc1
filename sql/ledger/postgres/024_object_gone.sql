-- A file that is gone keeps its place for some days: sql/ledger/024_object_gone.sql.

ALTER TABLE object ADD COLUMN gone_us bigint NOT NULL DEFAULT 0;
CREATE INDEX object_gone ON object (gone_us) WHERE gone_us > 0;
