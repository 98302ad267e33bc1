-- What each node may spend of an account: docs/decisions/0070-nodes.md.

ALTER TABLE account ADD COLUMN lent_nano bigint NOT NULL DEFAULT 0; -- the sum of its shares
ALTER TABLE account ADD CONSTRAINT lent_is_there CHECK (lent_nano BETWEEN 0 AND CASE WHEN kind = 0 THEN balance_nano ELSE 0 END);

CREATE TABLE share (
	account bigint NOT NULL REFERENCES account (id),
	node bigint NOT NULL REFERENCES node (id),
	nano bigint NOT NULL CONSTRAINT no_share_below_zero CHECK (nano >= 0),
	PRIMARY KEY (account, node)
) WITH (fillfactor = 70);
CREATE INDEX share_node ON share (node);

-- The last move between an account and this node's share of it that is booked: those before are.
ALTER TABLE node ADD COLUMN moved bigint NOT NULL DEFAULT 0;

-- Who is short of what others may have lying idle.
CREATE TABLE want (
	account bigint NOT NULL,
	node bigint NOT NULL,
	time_us bigint NOT NULL,
	PRIMARY KEY (account, node)
) WITH (fillfactor = 50);
