-- What accounts get from the free tier: sql/ledger/022_quota.sql.

CREATE TABLE quota (
	account bigint PRIMARY KEY REFERENCES account (id),
	kind bigint NOT NULL CHECK (kind BETWEEN 8 AND 10), -- enum limit_kind, whose windows they are: day, week, month
	nano bigint NOT NULL CHECK (nano > 0),
	due_us bigint NOT NULL -- when the next one is given
);
CREATE INDEX quota_due ON quota (due_us);
