-- The ledger's tables as 001 to 007 leave them in SQLite, with the same constraints and triggers of the same names. Every integer is a bigint: statements are shared.
-- The columns of `ticket` and `progress` that hold facts are added from src/ticket/ticket_fields.h when the store is opened.

CREATE TABLE store_schema (
	one bigint PRIMARY KEY CHECK (one = 1),
	version bigint NOT NULL, -- the number of the last migration
	writer bigint NOT NULL -- grows whenever a ledger begins
);
INSERT INTO store_schema (one, version, writer) VALUES (1, 0, 0);

CREATE TABLE account (
	id bigint PRIMARY KEY,
	kind bigint NOT NULL CHECK (kind BETWEEN 0 AND 99), -- enum house_account; 0 is a customer
	balance_nano bigint NOT NULL DEFAULT 0,
	state bigint NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 2),
	created_us bigint NOT NULL,
	name text COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 128),
	owed_nano bigint NOT NULL DEFAULT 0 CHECK (owed_nano BETWEEN 0 AND 4000000000000000000),
	granted_nano bigint NOT NULL DEFAULT 0 CHECK (granted_nano >= 0),
	chain_place bigint NOT NULL DEFAULT 0,
	chain_leaf bigint NOT NULL DEFAULT -1,
	CONSTRAINT no_customer_below_zero CHECK (kind <> 0 OR balance_nano BETWEEN 0 AND 4000000000000000000)
) WITH (fillfactor = 70); -- room for the next balance on the same page
CREATE UNIQUE INDEX account_name ON account (name);

CREATE TABLE key (
	id bigint PRIMARY KEY,
	account bigint NOT NULL REFERENCES account (id),
	hash bytea NOT NULL CHECK (length(hash) = 24),
	last4 text COLLATE "C" NOT NULL CHECK (length(last4) = 4),
	name text COLLATE "C" NOT NULL CHECK (length(name) <= 128),
	created_us bigint NOT NULL,
	expires_ms bigint NOT NULL DEFAULT 0,
	revoked_us bigint NOT NULL DEFAULT 0,
	replaced_by bigint NOT NULL DEFAULT 0,
	quarantined_us bigint NOT NULL DEFAULT 0,
	scopes bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX key_hash ON key (hash);
CREATE INDEX key_account ON key (account);

CREATE TABLE booking (
	id bigint PRIMARY KEY,
	kind bigint NOT NULL CHECK (kind BETWEEN 1 AND 3),
	time_us bigint NOT NULL,
	tickets bigint NOT NULL DEFAULT 0,
	first_ticket bigint NOT NULL DEFAULT 0,
	last_ticket bigint NOT NULL DEFAULT 0,
	intent bigint,
	reason text COLLATE "C" NOT NULL DEFAULT '' CHECK (length(reason) <= 256),
	what bigint NOT NULL DEFAULT 0 CHECK (what BETWEEN 0 AND 99),
	item bigint NOT NULL DEFAULT 0,
	tickets_nano bigint NOT NULL DEFAULT 0,
	actor text COLLATE "C" NOT NULL DEFAULT '' CHECK (length(actor) <= 64),
	CHECK ((kind = 1) = (tickets > 0)),
	CHECK (first_ticket <= last_ticket),
	CHECK (tickets_nano >= 0 AND (kind = 1 OR tickets_nano = 0))
);
CREATE UNIQUE INDEX booking_intent ON booking (intent) WHERE intent IS NOT NULL;
CREATE INDEX booking_item ON booking (item) WHERE item <> 0;

CREATE TABLE posting (
	booking bigint NOT NULL REFERENCES booking (id) DEFERRABLE INITIALLY DEFERRED,
	account bigint NOT NULL REFERENCES account (id),
	amount_nano bigint NOT NULL CHECK (amount_nano <> 0 AND amount_nano BETWEEN -9000000000000000000 AND 9000000000000000000),
	PRIMARY KEY (booking, account)
);
CREATE INDEX posting_customer ON posting (account, booking) WHERE account > 99;

-- One partition a month, by the time that is in the id: store_postgres.c makes them.
CREATE TABLE ticket (
	id bigint NOT NULL PRIMARY KEY,
	booking bigint NOT NULL,
	cost_nano bigint NOT NULL CHECK (cost_nano >= 0),
	hold_nano bigint NOT NULL CHECK (hold_nano >= cost_nano),
	difference_nano bigint NOT NULL,
	loss bigint NOT NULL,
	leaf bigint NOT NULL DEFAULT -1,
	previous bigint NOT NULL DEFAULT -1,
	place bigint NOT NULL DEFAULT 0
) PARTITION BY RANGE (id);

CREATE TABLE progress (
	id bigint PRIMARY KEY,
	board_index bigint NOT NULL,
	cost_nano bigint NOT NULL,
	hold_nano bigint NOT NULL
);

CREATE TABLE intent (
	id bigint PRIMARY KEY,
	ref text COLLATE "C" NOT NULL UNIQUE,
	content bytea NOT NULL,
	account bigint NOT NULL REFERENCES account (id),
	amount_nano bigint NOT NULL CHECK (amount_nano <> 0),
	reason text COLLATE "C" NOT NULL,
	what bigint NOT NULL DEFAULT 0,
	item bigint NOT NULL DEFAULT 0,
	second_nano bigint NOT NULL DEFAULT 0,
	third_nano bigint NOT NULL DEFAULT 0,
	actor text COLLATE "C" NOT NULL DEFAULT ''
);

CREATE TABLE operation (
	ref text COLLATE "C" PRIMARY KEY CHECK (length(ref) BETWEEN 1 AND 128),
	content bytea NOT NULL,
	subject bigint NOT NULL,
	time_us bigint NOT NULL
);

CREATE TABLE price (
	id bigint PRIMARY KEY,
	model bigint NOT NULL,
	from_ms bigint NOT NULL,
	added_us bigint NOT NULL,
	pico_input bigint NOT NULL,
	pico_cached bigint NOT NULL,
	pico_cache_write bigint NOT NULL,
	pico_cache_write_1h bigint NOT NULL,
	pico_audio_in bigint NOT NULL,
	pico_image_in bigint NOT NULL,
	pico_video_in bigint NOT NULL,
	pico_cached_audio bigint NOT NULL,
	pico_cached_image bigint NOT NULL,
	pico_output bigint NOT NULL,
	pico_reasoning bigint NOT NULL,
	pico_audio_out bigint NOT NULL,
	pico_image_out bigint NOT NULL,
	request_nano bigint NOT NULL,
	tier bigint NOT NULL,
	above_tokens bigint NOT NULL,
	geo_us_x100 bigint NOT NULL,
	tool_web_search_nano bigint NOT NULL,
	tool_file_search_nano bigint NOT NULL,
	tool_code_session_nano bigint NOT NULL,
	tool_audio_second_nano bigint NOT NULL DEFAULT 0,
	tool_image_nano bigint NOT NULL DEFAULT 0
);

CREATE TABLE model (
	id bigint PRIMARY KEY,
	name text COLLATE "C" NOT NULL
);

CREATE TABLE provider (
	id bigint PRIMARY KEY,
	name text COLLATE "C" NOT NULL
);

CREATE TABLE change (
	number bigint PRIMARY KEY,
	time_us bigint NOT NULL,
	what bigint NOT NULL,
	subject bigint NOT NULL
);

CREATE TABLE boot (
	number bigint PRIMARY KEY,
	node bigint NOT NULL,
	started_us bigint NOT NULL,
	floor_ms bigint NOT NULL,
	ceiling_ms bigint NOT NULL CHECK (ceiling_ms >= floor_ms)
);

CREATE TABLE usage_day (
	day bigint NOT NULL,
	account bigint NOT NULL,
	key bigint NOT NULL,
	model bigint NOT NULL,
	requests bigint NOT NULL,
	failed bigint NOT NULL,
	cost_nano bigint NOT NULL,
	tokens_input bigint NOT NULL,
	tokens_cached bigint NOT NULL,
	tokens_cache_write bigint NOT NULL,
	tokens_cache_write_1h bigint NOT NULL,
	tokens_audio_in bigint NOT NULL,
	tokens_image_in bigint NOT NULL,
	tokens_video_in bigint NOT NULL,
	tokens_cached_audio bigint NOT NULL,
	tokens_cached_image bigint NOT NULL,
	tokens_output bigint NOT NULL,
	tokens_reasoning bigint NOT NULL,
	tokens_audio_out bigint NOT NULL,
	tokens_image_out bigint NOT NULL,
	tool_calls bigint NOT NULL,
	PRIMARY KEY (day, account, key, model)
);
CREATE INDEX usage_day_key ON usage_day (key, day);

CREATE TABLE usage_mark (
	one bigint PRIMARY KEY CHECK (one = 1),
	booking bigint NOT NULL
);
INSERT INTO usage_mark (one, booking) VALUES (1, 0);

CREATE TABLE item (
	id bigint PRIMARY KEY,
	kind bigint NOT NULL CHECK (kind BETWEEN 1 AND 6),
	state bigint NOT NULL CHECK (state BETWEEN 0 AND 4),
	account bigint REFERENCES account (id),
	peer bigint NOT NULL DEFAULT 0,
	amount_nano bigint NOT NULL CHECK (amount_nano BETWEEN 1 AND 4000000000000000000),
	open_nano bigint NOT NULL CHECK (open_nano BETWEEN 0 AND amount_nano),
	used_nano bigint NOT NULL DEFAULT 0 CHECK (used_nano BETWEEN 0 AND amount_nano),
	created_us bigint NOT NULL,
	expires_ms bigint NOT NULL DEFAULT 0,
	hash bytea CHECK (hash IS NULL OR length(hash) = 32),
	note text COLLATE "C" NOT NULL DEFAULT '' CHECK (length(note) <= 256),
	CHECK (state <= 1 OR open_nano = 0)
);
CREATE UNIQUE INDEX item_hash ON item (hash) WHERE hash IS NOT NULL;
CREATE INDEX item_account ON item (account, kind);
CREATE INDEX item_due ON item (expires_ms) WHERE state = 1 AND expires_ms <> 0;
CREATE INDEX item_in_transit ON item (id) WHERE state = 1 AND kind = 6;

CREATE TABLE receipt_key (
	id bigint PRIMARY KEY,
	public bytea NOT NULL CHECK (length(public) = 32),
	from_us bigint NOT NULL,
	from_leaf bigint NOT NULL
);

CREATE TABLE receipt_batch (
	first bigint PRIMARY KEY,
	count bigint NOT NULL CHECK (count > 0),
	booking bigint NOT NULL REFERENCES booking (id) DEFERRABLE INITIALLY DEFERRED,
	time_us bigint NOT NULL,
	shape bigint NOT NULL,
	key bigint NOT NULL REFERENCES receipt_key (id),
	root bytea NOT NULL CHECK (length(root) = 32),
	signature bytea NOT NULL CHECK (length(signature) = 64),
	leaves bytea NOT NULL CHECK (length(leaves) = 32 * count)
);
ALTER TABLE receipt_batch ALTER COLUMN leaves SET STORAGE EXTERNAL; -- hashes: nothing to compress
CREATE UNIQUE INDEX receipt_batch_booking ON receipt_batch (booking);

CREATE TABLE receipt_node (
	level bigint NOT NULL CHECK (level >= 8),
	number bigint NOT NULL,
	hash bytea NOT NULL CHECK (length(hash) = 32),
	PRIMARY KEY (level, number)
);

CREATE TABLE limits (
	subject bigint NOT NULL,
	kind bigint NOT NULL CHECK (kind BETWEEN 1 AND 99),
	amount bigint NOT NULL CHECK (amount > 0),
	number bigint NOT NULL DEFAULT 0 CHECK (number BETWEEN 0 AND 2147483647),
	PRIMARY KEY (subject, kind)
);
CREATE INDEX limits_number ON limits (number) WHERE number <> 0;

CREATE TABLE allowed (
	subject bigint NOT NULL,
	what bigint NOT NULL CHECK (what BETWEEN 1 AND 2),
	pattern text COLLATE "C" NOT NULL CHECK (length(pattern) BETWEEN 1 AND 128),
	PRIMARY KEY (subject, what, pattern)
);

CREATE TABLE budget (
	id bigint PRIMARY KEY,
	limit_nano bigint NOT NULL CHECK (limit_nano > 0),
	used_nano bigint NOT NULL CHECK (used_nano >= 0)
);

INSERT INTO account (id, kind, name, created_us) VALUES
	(1, 1, 'revenue', 0),
	(2, 2, 'clearing', 0),
	(3, 3, 'adjustment', 0),
	(4, 4, 'free', 0),
	(5, 5, 'loss.crash', 0),
	(6, 6, 'loss.overrun', 0),
	(7, 7, 'loss.retry', 0),
	(8, 8, 'loss.estimate', 0),
	(9, 9, 'loss.node', 0),
	(10, 10, 'standing', 0),
	(11, 11, 'voucher', 0),
	(12, 12, 'dispute', 0),
	(13, 13, 'owed', 0),
	(14, 14, 'transit', 0),
	(15, 15, 'loss.absurd', 0);

-- What must not happen is refused by the database, whoever writes. The text is the trigger's argument.
CREATE FUNCTION lethe_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0]; END $$;

CREATE FUNCTION lethe_posting_in_time() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.booking <= (SELECT coalesce(max(id), 0) FROM booking) THEN
		RAISE EXCEPTION 'INV-5: nothing is added to a booking that is closed';
	END IF;
	RETURN NEW;
END $$;

CREATE FUNCTION lethe_booking_closes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.id <> 1 + (SELECT coalesce(max(id), 0) FROM booking) THEN
		RAISE EXCEPTION 'INV-7: bookings are numbered without a gap';
	END IF;
	IF NEW.tickets_nano <> (SELECT coalesce(sum(amount_nano), 0) FROM posting WHERE booking = NEW.id) THEN
		RAISE EXCEPTION 'INV-1: postings do not sum to zero';
	END IF;
	IF 1 < (SELECT count(*) FROM posting WHERE booking = NEW.id AND account > 99) THEN
		RAISE EXCEPTION 'INV-12: an order moves the money of one customer';
	END IF;
	RETURN NEW;
END $$;

CREATE FUNCTION lethe_receipt_batch_follows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.first <> coalesce((SELECT first + count FROM receipt_batch ORDER BY first DESC LIMIT 1), 0) THEN
		RAISE EXCEPTION 'INV-14: the tree of receipts grows without a gap';
	END IF;
	RETURN NEW;
END $$;

CREATE FUNCTION lethe_operation_is_one() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT 1 FROM operation WHERE ref = NEW.ref) THEN
		RAISE EXCEPTION 'INV-6: an operation is done once';
	END IF;
	RETURN NEW;
END $$;

CREATE FUNCTION lethe_item_is_one() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT 1 FROM item WHERE id = NEW.id) THEN
		RAISE EXCEPTION 'INV-11: an item is made once';
	END IF;
	RETURN NEW;
END $$;

CREATE TRIGGER posting_is_final BEFORE UPDATE ON posting FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-5: a posting is never changed');
CREATE TRIGGER posting_stays BEFORE DELETE ON posting FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-5: a posting is never deleted');
CREATE TRIGGER posting_in_time BEFORE INSERT ON posting FOR EACH ROW EXECUTE FUNCTION lethe_posting_in_time();
CREATE TRIGGER ticket_is_final BEFORE UPDATE ON ticket FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-5: a ticket is never changed');
CREATE TRIGGER ticket_stays BEFORE DELETE ON ticket FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-5: a ticket is never deleted');
CREATE TRIGGER booking_is_final BEFORE UPDATE ON booking FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-5: a booking is never changed');
CREATE TRIGGER booking_stays BEFORE DELETE ON booking FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-5: a booking is never deleted');
CREATE TRIGGER booking_closes BEFORE INSERT ON booking FOR EACH ROW EXECUTE FUNCTION lethe_booking_closes();
CREATE TRIGGER operation_is_final BEFORE UPDATE ON operation FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-6: an operation is never changed');
CREATE TRIGGER operation_stays BEFORE DELETE ON operation FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-6: an operation is never deleted');
CREATE TRIGGER operation_is_one BEFORE INSERT ON operation FOR EACH ROW EXECUTE FUNCTION lethe_operation_is_one();
CREATE TRIGGER change_is_final BEFORE UPDATE ON change FOR EACH ROW EXECUTE FUNCTION lethe_refuse('a change is never changed');
CREATE TRIGGER change_stays BEFORE DELETE ON change FOR EACH ROW EXECUTE FUNCTION lethe_refuse('a change is never deleted');
CREATE TRIGGER price_is_final BEFORE UPDATE ON price FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-8: a price row is never changed');
CREATE TRIGGER price_stays BEFORE DELETE ON price FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-8: a price row is never deleted');
CREATE TRIGGER account_stays BEFORE DELETE ON account FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-5: an account is never deleted');
CREATE TRIGGER account_is_one BEFORE UPDATE OF id, kind ON account FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-5: an account stays what it is');
CREATE TRIGGER item_stays BEFORE DELETE ON item FOR EACH ROW WHEN (OLD.state <> 0) EXECUTE FUNCTION lethe_refuse('INV-11: an item is never deleted');
CREATE TRIGGER item_is_one BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION lethe_item_is_one();
CREATE TRIGGER item_resolves_once BEFORE UPDATE ON item FOR EACH ROW
WHEN (OLD.state > 1 OR NEW.state < OLD.state OR NEW.id <> OLD.id OR NEW.kind <> OLD.kind OR NEW.amount_nano <> OLD.amount_nano OR NEW.peer <> OLD.peer
	OR NEW.created_us <> OLD.created_us OR NEW.expires_ms <> OLD.expires_ms OR (OLD.account IS NOT NULL AND NEW.account IS DISTINCT FROM OLD.account))
EXECUTE FUNCTION lethe_refuse('INV-11: an item is resolved once');
CREATE TRIGGER receipt_key_is_final BEFORE UPDATE ON receipt_key FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-14: a receipt key is never changed');
CREATE TRIGGER receipt_key_stays BEFORE DELETE ON receipt_key FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-14: a receipt key is never deleted');
CREATE TRIGGER receipt_batch_is_final BEFORE UPDATE ON receipt_batch FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-14: a head that was signed is never changed');
CREATE TRIGGER receipt_batch_stays BEFORE DELETE ON receipt_batch FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-14: a head that was signed is never deleted');
CREATE TRIGGER receipt_batch_follows BEFORE INSERT ON receipt_batch FOR EACH ROW EXECUTE FUNCTION lethe_receipt_batch_follows();
CREATE TRIGGER receipt_node_is_final BEFORE UPDATE ON receipt_node FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-14: a node of the tree is never changed');
CREATE TRIGGER receipt_node_stays BEFORE DELETE ON receipt_node FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-14: a node of the tree is never deleted');

-- TRUNCATE asks no row's trigger.
CREATE TRIGGER posting_whole BEFORE TRUNCATE ON posting EXECUTE FUNCTION lethe_refuse('INV-5: postings are never deleted');
CREATE TRIGGER ticket_whole BEFORE TRUNCATE ON ticket EXECUTE FUNCTION lethe_refuse('INV-5: tickets are never deleted');
CREATE TRIGGER booking_whole BEFORE TRUNCATE ON booking EXECUTE FUNCTION lethe_refuse('INV-5: bookings are never deleted');
CREATE TRIGGER operation_whole BEFORE TRUNCATE ON operation EXECUTE FUNCTION lethe_refuse('INV-6: operations are never deleted');
CREATE TRIGGER price_whole BEFORE TRUNCATE ON price EXECUTE FUNCTION lethe_refuse('INV-8: price rows are never deleted');
CREATE TRIGGER account_whole BEFORE TRUNCATE ON account EXECUTE FUNCTION lethe_refuse('INV-5: accounts are never deleted');
CREATE TRIGGER item_whole BEFORE TRUNCATE ON item EXECUTE FUNCTION lethe_refuse('INV-11: items are never deleted');
CREATE TRIGGER receipt_batch_whole BEFORE TRUNCATE ON receipt_batch EXECUTE FUNCTION lethe_refuse('INV-14: heads that were signed are never deleted');
CREATE TRIGGER receipt_node_whole BEFORE TRUNCATE ON receipt_node EXECUTE FUNCTION lethe_refuse('INV-14: nodes of the tree are never deleted');
