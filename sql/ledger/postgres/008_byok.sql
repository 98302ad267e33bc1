-- Customers' own keys at providers: sql/ledger/008_byok.sql.

CREATE TABLE byok (
	id bigint PRIMARY KEY,
	account bigint NOT NULL REFERENCES account (id),
	provider bigint NOT NULL,
	fallback bigint NOT NULL CHECK (fallback IN (0, 1)),
	last4 text COLLATE "C" NOT NULL CHECK (length(last4) <= 4),
	master bytea NOT NULL CHECK (length(master) = 8),
	box bytea,
	created_us bigint NOT NULL,
	removed_us bigint NOT NULL DEFAULT 0,
	CHECK ((box IS NULL) = (removed_us <> 0))
);
CREATE UNIQUE INDEX byok_one ON byok (account, provider) WHERE removed_us = 0;
