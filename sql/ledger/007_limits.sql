-- What keys and accounts are limited in and to, and what was spent of limits of money in each of their windows.

CREATE TABLE limits (
	subject INTEGER NOT NULL, -- a key or an account
	kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 99), -- enum limit_kind
	amount INTEGER NOT NULL CHECK (amount > 0), -- requests, tokens, nano-dollars
	number INTEGER NOT NULL DEFAULT 0 CHECK (number BETWEEN 0 AND 2147483647), -- of a limit of money: names its windows; another one with each change
	PRIMARY KEY (subject, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX limits_number ON limits (number) WHERE number <> 0;

CREATE TABLE allowed (
	subject INTEGER NOT NULL,
	what INTEGER NOT NULL CHECK (what BETWEEN 1 AND 2), -- enum limit_named
	pattern TEXT NOT NULL CHECK (length(pattern) BETWEEN 1 AND 128),
	PRIMARY KEY (subject, what, pattern)
) STRICT, WITHOUT ROWID;

-- A window of a limit of money: its row on the board has the same number.
CREATE TABLE budget (
	id INTEGER PRIMARY KEY, -- limit_budget_row()
	limit_nano INTEGER NOT NULL CHECK (limit_nano > 0),
	used_nano INTEGER NOT NULL CHECK (used_nano >= 0)
) STRICT;

ALTER TABLE key ADD COLUMN scopes INTEGER NOT NULL DEFAULT 0; -- bits of enum key_scope; 0: all
