-- sql/ledger/029_kin.sql.

ALTER TABLE key ADD COLUMN kin bigint NOT NULL DEFAULT 0; -- of keys that took each other's place the one that took nobody's; 0: itself

WITH RECURSIVE down(id, first) AS (
	SELECT id, id FROM key WHERE replaced_by <> 0 AND NOT EXISTS (SELECT 1 FROM key AS before WHERE before.replaced_by = key.id AND before.replaced_by <> 0)
	UNION SELECT key.replaced_by, down.first FROM key JOIN down ON key.id = down.id WHERE key.replaced_by <> 0)
UPDATE key SET kin = down.first FROM down WHERE key.id = down.id AND down.id <> down.first;

DROP INDEX key_replaced_by;

CREATE INDEX key_kin ON key (kin) WHERE kin <> 0;
