-- Which files an account keeps at providers, so that they can be listed: their ids, sealed, of use to an edge alone. No names, no sizes: those the provider says.

CREATE TABLE object (
	id INTEGER PRIMARY KEY, -- the request that made it
	account INTEGER NOT NULL REFERENCES account (id),
	kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 255), -- enum object_kind
	purpose INTEGER NOT NULL CHECK (purpose BETWEEN 0 AND 255), -- what for, of OpenAI's files
	name BLOB NOT NULL CHECK (length(name) BETWEEN 1 AND 240),
	UNIQUE (account, name)
) STRICT;
CREATE INDEX object_account ON object (account, kind, id);

-- Work that is at its provider no more, which is in no list.
CREATE TABLE gone (
	work INTEGER PRIMARY KEY REFERENCES work (id)
) STRICT;
