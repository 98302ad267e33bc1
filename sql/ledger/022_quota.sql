-- What accounts get from the free tier for each day, week or month.

CREATE TABLE quota (
	account INTEGER PRIMARY KEY REFERENCES account (id),
	kind INTEGER NOT NULL CHECK (kind BETWEEN 8 AND 10), -- enum limit_kind, whose windows they are: day, week, month
	nano INTEGER NOT NULL CHECK (nano > 0),
	due_us INTEGER NOT NULL -- when the next one is given
) STRICT;
CREATE INDEX quota_due ON quota (due_us);
