-- What nightly looks at the books found, and what is proposed to be given back because a provider counted less than was charged.

CREATE TABLE reconciliation (
	id INTEGER PRIMARY KEY,
	time_us INTEGER NOT NULL,
	bookings INTEGER NOT NULL, -- up to and with this one
	tickets INTEGER NOT NULL,
	charged_nano INTEGER NOT NULL, -- by the tickets
	balances_nano INTEGER NOT NULL, -- of all customers
	broken INTEGER NOT NULL CHECK (broken >= 0) -- of what was compared
) STRICT;

-- Decided by the operation whose id is `ref`: its subject is the booking that gave the amount back, or the account itself when it was rejected.
CREATE TABLE proposal (
	id INTEGER PRIMARY KEY,
	account INTEGER NOT NULL REFERENCES account (id),
	amount_nano INTEGER NOT NULL CHECK (amount_nano BETWEEN 1 AND 4000000000000000000),
	day INTEGER NOT NULL, -- days since 1970, UTC
	provider TEXT NOT NULL CHECK (length(provider) BETWEEN 1 AND 128),
	model TEXT NOT NULL CHECK (length(model) BETWEEN 1 AND 128),
	created_us INTEGER NOT NULL,
	ref TEXT NOT NULL UNIQUE CHECK (length(ref) BETWEEN 1 AND 128),
	reason TEXT NOT NULL DEFAULT '' CHECK (length(reason) <= 256),
	actor TEXT NOT NULL DEFAULT '' CHECK (length(actor) <= 64)
) STRICT;

CREATE TRIGGER reconciliation_is_final BEFORE UPDATE ON reconciliation BEGIN SELECT raise(ABORT, 'INV-16: a reconciliation is never changed'); END;
CREATE TRIGGER reconciliation_stays BEFORE DELETE ON reconciliation BEGIN SELECT raise(ABORT, 'INV-16: a reconciliation is never deleted'); END;
CREATE TRIGGER proposal_is_final BEFORE UPDATE ON proposal BEGIN SELECT raise(ABORT, 'INV-16: a proposal is never changed'); END;
CREATE TRIGGER proposal_stays BEFORE DELETE ON proposal BEGIN SELECT raise(ABORT, 'INV-16: a proposal is never deleted'); END;
