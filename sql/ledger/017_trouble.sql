-- Why work that has ended is not paid; and whose it is, and which hold is whose, without looking at all of it.

ALTER TABLE work ADD COLUMN trouble INTEGER NOT NULL DEFAULT 0 CHECK (trouble BETWEEN 0 AND 2); -- enum work_trouble
CREATE INDEX work_hold ON work (hold) WHERE hold <> 0;
CREATE INDEX work_account ON work (account, id);
