-- Why work that has ended is not paid: sql/ledger/017_trouble.sql.

ALTER TABLE work ADD COLUMN trouble bigint NOT NULL DEFAULT 0 CHECK (trouble BETWEEN 0 AND 2);
CREATE INDEX work_hold ON work (hold) WHERE hold <> 0;
CREATE INDEX work_account ON work (account, id);
