-- Orders of every kind, what is set aside until it is resolved, and bookings that nothing can be added to.

DROP TRIGGER posting_is_final;
DROP TRIGGER posting_stays;
DROP TRIGGER booking_is_final;
DROP TRIGGER booking_stays;

CREATE TABLE account_5 (
	id INTEGER PRIMARY KEY,
	kind INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 99), -- enum house_account; 0 is a customer
	balance_nano INTEGER NOT NULL DEFAULT 0,
	state INTEGER NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 2), -- open, closed
	created_us INTEGER NOT NULL,
	name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 128),
	owed_nano INTEGER NOT NULL DEFAULT 0 CHECK (owed_nano BETWEEN 0 AND 4000000000000000000), -- of lost disputes; the next top-up pays it first
	granted_nano INTEGER NOT NULL DEFAULT 0 CHECK (granted_nano >= 0), -- what was spent up to here is taken off the grants
	CONSTRAINT no_customer_below_zero CHECK (kind <> 0 OR balance_nano BETWEEN 0 AND 4000000000000000000)
) STRICT;
INSERT INTO account_5 (id, kind, balance_nano, state, created_us, name) SELECT id, kind, balance_nano, state, created_us, name FROM account;
DROP TABLE account;
ALTER TABLE account_5 RENAME TO account;
CREATE UNIQUE INDEX account_name ON account (name);

INSERT INTO account (id, kind, name, created_us) VALUES
	(10, 10, 'standing', 0),
	(11, 11, 'voucher', 0),
	(12, 12, 'dispute', 0),
	(13, 13, 'owed', 0),
	(14, 14, 'transit', 0),
	(15, 15, 'loss.absurd', 0);

-- Postings come first, the booking closes them: it is refused when they don't sum to what its tickets cost.
CREATE TABLE posting_5 (
	booking INTEGER NOT NULL REFERENCES booking (id) DEFERRABLE INITIALLY DEFERRED,
	account INTEGER NOT NULL REFERENCES account (id),
	amount_nano INTEGER NOT NULL CHECK (amount_nano <> 0 AND amount_nano BETWEEN -9000000000000000000 AND 9000000000000000000),
	PRIMARY KEY (booking, account)
) STRICT, WITHOUT ROWID;
INSERT INTO posting_5 (booking, account, amount_nano)
	SELECT booking, account, sum(amount_nano) FROM posting GROUP BY booking, account HAVING sum(amount_nano) <> 0 ORDER BY booking, account;
DROP TABLE posting;
ALTER TABLE posting_5 RENAME TO posting;
CREATE INDEX posting_customer ON posting (account, booking) WHERE account > 99;

ALTER TABLE booking ADD COLUMN what INTEGER NOT NULL DEFAULT 0 CHECK (what BETWEEN 0 AND 99); -- enum order_kind
ALTER TABLE booking ADD COLUMN item INTEGER NOT NULL DEFAULT 0;
ALTER TABLE booking ADD COLUMN tickets_nano INTEGER NOT NULL DEFAULT 0 CHECK (tickets_nano >= 0 AND (kind = 1 OR tickets_nano = 0));
ALTER TABLE booking ADD COLUMN actor TEXT NOT NULL DEFAULT '' CHECK (length(actor) <= 64);
UPDATE booking SET tickets_nano = (SELECT ifnull(sum(amount_nano), 0) FROM posting WHERE posting.booking = booking.id) WHERE kind = 1;
CREATE INDEX booking_item ON booking (item) WHERE item <> 0;

ALTER TABLE intent ADD COLUMN what INTEGER NOT NULL DEFAULT 0;
ALTER TABLE intent ADD COLUMN item INTEGER NOT NULL DEFAULT 0;
ALTER TABLE intent ADD COLUMN second_nano INTEGER NOT NULL DEFAULT 0;
ALTER TABLE intent ADD COLUMN third_nano INTEGER NOT NULL DEFAULT 0;
ALTER TABLE intent ADD COLUMN actor TEXT NOT NULL DEFAULT '';

-- Money that is set aside, or was given on a condition, until that is resolved: once.
CREATE TABLE item (
	id INTEGER PRIMARY KEY,
	kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 6), -- enum item_kind
	state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4), -- enum item_state
	account INTEGER REFERENCES account (id), -- NULL: a voucher that nobody has redeemed
	peer INTEGER NOT NULL DEFAULT 0, -- the account or the payment that it is about
	amount_nano INTEGER NOT NULL CHECK (amount_nano BETWEEN 1 AND 4000000000000000000),
	open_nano INTEGER NOT NULL CHECK (open_nano BETWEEN 0 AND amount_nano), -- not resolved yet
	used_nano INTEGER NOT NULL DEFAULT 0 CHECK (used_nano BETWEEN 0 AND amount_nano), -- charged when it was settled
	created_us INTEGER NOT NULL,
	expires_ms INTEGER NOT NULL DEFAULT 0, -- 0: never
	hash BLOB CHECK (hash IS NULL OR length(hash) = 32), -- of a voucher's code
	note TEXT NOT NULL DEFAULT '' CHECK (length(note) <= 256),
	CHECK (state <= 1 OR open_nano = 0)
) STRICT;
CREATE UNIQUE INDEX item_hash ON item (hash) WHERE hash IS NOT NULL;
CREATE INDEX item_account ON item (account, kind);
CREATE INDEX item_due ON item (expires_ms) WHERE state = 1 AND expires_ms <> 0;
CREATE INDEX item_in_transit ON item (id) WHERE state = 1 AND kind = 6;

CREATE TRIGGER account_stays BEFORE DELETE ON account BEGIN SELECT raise(ABORT, 'INV-5: an account is never deleted'); END;
CREATE TRIGGER account_is_one BEFORE UPDATE OF id, kind ON account BEGIN SELECT raise(ABORT, 'INV-5: an account stays what it is'); END;
CREATE TRIGGER posting_is_final BEFORE UPDATE ON posting BEGIN SELECT raise(ABORT, 'INV-5: a posting is never changed'); END;
CREATE TRIGGER posting_stays BEFORE DELETE ON posting BEGIN SELECT raise(ABORT, 'INV-5: a posting is never deleted'); END;
CREATE TRIGGER posting_in_time BEFORE INSERT ON posting WHEN NEW.booking <= (SELECT ifnull(max(id), 0) FROM booking)
BEGIN SELECT raise(ABORT, 'INV-5: nothing is added to a booking that is closed'); END;
CREATE TRIGGER booking_is_final BEFORE UPDATE ON booking BEGIN SELECT raise(ABORT, 'INV-5: a booking is never changed'); END;
CREATE TRIGGER booking_stays BEFORE DELETE ON booking BEGIN SELECT raise(ABORT, 'INV-5: a booking is never deleted'); END;
CREATE TRIGGER booking_closes BEFORE INSERT ON booking BEGIN
	SELECT raise(ABORT, 'INV-7: bookings are numbered without a gap') WHERE NEW.id <> 1 + (SELECT ifnull(max(id), 0) FROM booking);
	SELECT raise(ABORT, 'INV-1: postings do not sum to zero') WHERE NEW.tickets_nano <> (SELECT ifnull(sum(amount_nano), 0) FROM posting WHERE booking = NEW.id);
	SELECT raise(ABORT, 'INV-12: an order moves the money of one customer') WHERE 1 < (SELECT count(*) FROM posting WHERE booking = NEW.id AND account > 99);
END;
CREATE TRIGGER operation_is_one BEFORE INSERT ON operation WHEN EXISTS (SELECT 1 FROM operation WHERE ref = NEW.ref)
BEGIN SELECT raise(ABORT, 'INV-6: an operation is done once'); END;
CREATE TRIGGER price_is_one BEFORE INSERT ON price WHEN EXISTS (SELECT 1 FROM price WHERE id = NEW.id) BEGIN SELECT raise(IGNORE); END;
CREATE TRIGGER item_stays BEFORE DELETE ON item WHEN OLD.state <> 0 BEGIN SELECT raise(ABORT, 'INV-11: an item is never deleted'); END;
CREATE TRIGGER item_is_one BEFORE INSERT ON item WHEN EXISTS (SELECT 1 FROM item WHERE id = NEW.id)
BEGIN SELECT raise(ABORT, 'INV-11: an item is made once'); END;
CREATE TRIGGER item_resolves_once BEFORE UPDATE ON item
WHEN OLD.state > 1 OR NEW.state < OLD.state OR NEW.id <> OLD.id OR NEW.kind <> OLD.kind OR NEW.amount_nano <> OLD.amount_nano OR NEW.peer <> OLD.peer
	OR NEW.created_us <> OLD.created_us OR NEW.expires_ms <> OLD.expires_ms OR (OLD.account IS NOT NULL AND NEW.account IS NOT OLD.account)
BEGIN SELECT raise(ABORT, 'INV-11: an item is resolved once'); END;
