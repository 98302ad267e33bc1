-- To which targets the requests of a key or an account may go, whatever they say themselves.

CREATE TABLE policy (
	subject INTEGER PRIMARY KEY, -- a key or an account
	zero_retention INTEGER NOT NULL CHECK (zero_retention IN (0, 1)),
	region TEXT NOT NULL CHECK (length(region) <= 15), -- '': any
	CHECK (zero_retention = 1 OR region <> '')
) STRICT;
