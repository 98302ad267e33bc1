-- What nightly looks at the books found, and proposals: sql/ledger/009_reconcile.sql.

CREATE TABLE reconciliation (
	id bigint PRIMARY KEY,
	time_us bigint NOT NULL,
	bookings bigint NOT NULL,
	tickets bigint NOT NULL,
	charged_nano bigint NOT NULL,
	balances_nano bigint NOT NULL,
	broken bigint NOT NULL CHECK (broken >= 0)
);

CREATE TABLE proposal (
	id bigint PRIMARY KEY,
	account bigint NOT NULL REFERENCES account (id),
	amount_nano bigint NOT NULL CHECK (amount_nano BETWEEN 1 AND 4000000000000000000),
	day bigint NOT NULL,
	provider text COLLATE "C" NOT NULL CHECK (length(provider) BETWEEN 1 AND 128),
	model text COLLATE "C" NOT NULL CHECK (length(model) BETWEEN 1 AND 128),
	created_us bigint NOT NULL,
	ref text COLLATE "C" NOT NULL UNIQUE CHECK (length(ref) BETWEEN 1 AND 128),
	reason text COLLATE "C" NOT NULL DEFAULT '' CHECK (length(reason) <= 256),
	actor text COLLATE "C" NOT NULL DEFAULT '' CHECK (length(actor) <= 64)
);

CREATE TRIGGER reconciliation_is_final BEFORE UPDATE ON reconciliation FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-16: a reconciliation is never changed');
CREATE TRIGGER reconciliation_stays BEFORE DELETE ON reconciliation FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-16: a reconciliation is never deleted');
CREATE TRIGGER proposal_is_final BEFORE UPDATE ON proposal FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-16: a proposal is never changed');
CREATE TRIGGER proposal_stays BEFORE DELETE ON proposal FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-16: a proposal is never deleted');
