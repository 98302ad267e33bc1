-- What each node may spend in a window of a limit of money, as it has a share of a balance: docs/decisions/0070-nodes.md.

ALTER TABLE budget ADD COLUMN lent_nano bigint NOT NULL DEFAULT 0 CHECK (lent_nano >= 0); -- the sum of its shares

CREATE TABLE budget_share (
	budget bigint NOT NULL REFERENCES budget (id),
	node bigint NOT NULL REFERENCES node (id),
	nano bigint NOT NULL CONSTRAINT no_budget_share_below_zero CHECK (nano >= 0),
	PRIMARY KEY (budget, node)
) WITH (fillfactor = 70);
CREATE INDEX budget_share_node ON budget_share (node);
