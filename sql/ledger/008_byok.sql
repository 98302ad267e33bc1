-- Customers' own keys at providers, sealed for edges: nobody who reads this can open them.

CREATE TABLE byok (
	id INTEGER PRIMARY KEY,
	account INTEGER NOT NULL REFERENCES account (id),
	provider INTEGER NOT NULL, -- the catalogue's id
	fallback INTEGER NOT NULL CHECK (fallback IN (0, 1)), -- 1: the operator's key may be used when this one is refused
	last4 TEXT NOT NULL CHECK (length(last4) <= 4),
	master BLOB NOT NULL CHECK (length(master) = 8), -- begin of the public key that it is sealed for
	box BLOB, -- NULL: removed
	created_us INTEGER NOT NULL,
	removed_us INTEGER NOT NULL DEFAULT 0,
	CHECK ((box IS NULL) = (removed_us <> 0))
) STRICT;
CREATE UNIQUE INDEX byok_one ON byok (account, provider) WHERE removed_us = 0;
