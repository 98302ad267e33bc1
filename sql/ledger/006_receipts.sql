-- Receipts: each ticket is a leaf of one Merkle tree that only grows, and a link of its account's chain; the tree's head is signed at each booking.

ALTER TABLE ticket ADD COLUMN leaf INTEGER NOT NULL DEFAULT -1; -- its number in the tree; -1: booked before there were receipts
ALTER TABLE ticket ADD COLUMN previous INTEGER NOT NULL DEFAULT -1; -- leaf of the account's ticket before it; -1: it is the first
ALTER TABLE ticket ADD COLUMN place INTEGER NOT NULL DEFAULT 0; -- in the account's chain, from 1

ALTER TABLE account ADD COLUMN chain_place INTEGER NOT NULL DEFAULT 0; -- of the account's last ticket
ALTER TABLE account ADD COLUMN chain_leaf INTEGER NOT NULL DEFAULT -1; -- its number; the hash is in receipt_batch

CREATE TABLE receipt_key (
	id INTEGER PRIMARY KEY,
	public BLOB NOT NULL CHECK (length(public) = 32), -- Ed25519
	from_us INTEGER NOT NULL,
	from_leaf INTEGER NOT NULL -- heads of trees larger than this are signed by it
) STRICT;

-- What one booking added to the tree, and its head after that.
CREATE TABLE receipt_batch (
	first INTEGER PRIMARY KEY, -- number of its first leaf
	count INTEGER NOT NULL CHECK (count > 0),
	booking INTEGER NOT NULL REFERENCES booking (id) DEFERRABLE INITIALLY DEFERRED,
	time_us INTEGER NOT NULL,
	shape INTEGER NOT NULL, -- how many fields of tickets and prices there were: a leaf is hashed over these
	key INTEGER NOT NULL REFERENCES receipt_key (id),
	root BLOB NOT NULL CHECK (length(root) = 32),
	signature BLOB NOT NULL CHECK (length(signature) = 64),
	leaves BLOB NOT NULL CHECK (length(leaves) = 32 * count)
) STRICT;
CREATE UNIQUE INDEX receipt_batch_booking ON receipt_batch (booking);

-- Whole subtrees of 256 leaves and more, so that a proof doesn't read all leaves there are.
CREATE TABLE receipt_node (
	level INTEGER NOT NULL CHECK (level >= 8),
	number INTEGER NOT NULL,
	hash BLOB NOT NULL CHECK (length(hash) = 32),
	PRIMARY KEY (level, number)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER receipt_key_is_final BEFORE UPDATE ON receipt_key BEGIN SELECT raise(ABORT, 'INV-14: a receipt key is never changed'); END;
CREATE TRIGGER receipt_key_stays BEFORE DELETE ON receipt_key BEGIN SELECT raise(ABORT, 'INV-14: a receipt key is never deleted'); END;
CREATE TRIGGER receipt_batch_is_final BEFORE UPDATE ON receipt_batch BEGIN SELECT raise(ABORT, 'INV-14: a head that was signed is never changed'); END;
CREATE TRIGGER receipt_batch_stays BEFORE DELETE ON receipt_batch BEGIN SELECT raise(ABORT, 'INV-14: a head that was signed is never deleted'); END;
CREATE TRIGGER receipt_batch_follows BEFORE INSERT ON receipt_batch
WHEN NEW.first <> ifnull((SELECT first + count FROM receipt_batch ORDER BY first DESC LIMIT 1), 0)
BEGIN SELECT raise(ABORT, 'INV-14: the tree of receipts grows without a gap'); END;
CREATE TRIGGER receipt_node_is_final BEFORE UPDATE ON receipt_node BEGIN SELECT raise(ABORT, 'INV-14: a node of the tree is never changed'); END;
CREATE TRIGGER receipt_node_stays BEFORE DELETE ON receipt_node BEGIN SELECT raise(ABORT, 'INV-14: a node of the tree is never deleted'); END;
