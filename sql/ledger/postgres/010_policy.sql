-- To which targets requests may go: sql/ledger/010_policy.sql.

CREATE TABLE policy (
	subject bigint PRIMARY KEY,
	zero_retention bigint NOT NULL CHECK (zero_retention IN (0, 1)),
	region text COLLATE "C" NOT NULL CHECK (length(region) <= 15),
	CHECK (zero_retention = 1 OR region <> '')
);
