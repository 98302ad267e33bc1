-- The lane by which the requests of a key or an account go that name none.

CREATE TABLE lane (
	subject INTEGER PRIMARY KEY, -- a key or an account
	name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 31)
) STRICT;
