-- 1: several ledgers may be open on this store at once, each as a node of its own. Nothing sets it yet: docs/decisions/0070-nodes.md says what is missing.

ALTER TABLE pen ADD COLUMN many bigint NOT NULL DEFAULT 0 CHECK (many IN (0, 1));
