-- A key whose exchanges were running when edges died: held back until the operator releases it.

ALTER TABLE key ADD COLUMN quarantined_us INTEGER NOT NULL DEFAULT 0; -- 0: not
