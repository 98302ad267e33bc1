-- Which files an account keeps at providers: sql/ledger/023_object.sql.

CREATE TABLE object (
	id bigint PRIMARY KEY,
	account bigint NOT NULL REFERENCES account (id),
	kind bigint NOT NULL CHECK (kind BETWEEN 1 AND 255),
	purpose bigint NOT NULL CHECK (purpose BETWEEN 0 AND 255),
	name bytea NOT NULL CHECK (length(name) BETWEEN 1 AND 240),
	UNIQUE (account, name)
);
CREATE INDEX object_account ON object (account, kind, id);

CREATE TABLE gone (
	work bigint PRIMARY KEY REFERENCES work (id)
);
