-- The lane of requests that name none: sql/ledger/013_lane.sql.

CREATE TABLE lane (
	subject bigint PRIMARY KEY,
	name text COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 31)
);
