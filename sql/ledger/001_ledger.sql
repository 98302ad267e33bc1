-- The ledger's tables. The columns of `ticket` and `progress` that hold facts are added from src/ticket/ticket_fields.h when the store is opened.

CREATE TABLE account (
	id INTEGER PRIMARY KEY,
	kind INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 9), -- enum account_kind; 0 is a customer
	balance_nano INTEGER NOT NULL DEFAULT 0,
	state INTEGER NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 2), -- open, closed
	created_us INTEGER NOT NULL,
	name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 128),
	CONSTRAINT no_customer_below_zero CHECK (kind <> 0 OR balance_nano >= 0)
) STRICT;
CREATE UNIQUE INDEX account_name ON account (name);

CREATE TABLE key (
	id INTEGER PRIMARY KEY,
	account INTEGER NOT NULL REFERENCES account (id),
	hash BLOB NOT NULL CHECK (length(hash) = 24),
	last4 TEXT NOT NULL CHECK (length(last4) = 4), -- what people recognise their key by; the key itself is not kept
	name TEXT NOT NULL CHECK (length(name) <= 128),
	created_us INTEGER NOT NULL,
	expires_ms INTEGER NOT NULL DEFAULT 0, -- 0: never
	revoked_us INTEGER NOT NULL DEFAULT 0 -- 0: in force
) STRICT;
CREATE UNIQUE INDEX key_hash ON key (hash);
CREATE INDEX key_account ON key (account);

-- A booking is a batch of tickets, or one movement that a person ordered. A ticket is the customer's posting of its own cost.
CREATE TABLE booking (
	id INTEGER PRIMARY KEY,
	kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 3), -- enum booking_kind: tickets, credit, debit
	time_us INTEGER NOT NULL,
	tickets INTEGER NOT NULL DEFAULT 0,
	first_ticket INTEGER NOT NULL DEFAULT 0,
	last_ticket INTEGER NOT NULL DEFAULT 0,
	intent INTEGER, -- id of the ledger's ticket
	reason TEXT NOT NULL DEFAULT '' CHECK (length(reason) <= 256),
	CHECK ((kind = 1) = (tickets > 0)),
	CHECK (first_ticket <= last_ticket)
) STRICT;
CREATE UNIQUE INDEX booking_intent ON booking (intent) WHERE intent IS NOT NULL;

CREATE TABLE posting (
	id INTEGER PRIMARY KEY,
	booking INTEGER NOT NULL REFERENCES booking (id),
	account INTEGER NOT NULL REFERENCES account (id),
	amount_nano INTEGER NOT NULL
) STRICT;

CREATE TABLE ticket (
	id INTEGER PRIMARY KEY,
	booking INTEGER NOT NULL, -- checked by `ledger verify`: a look-up for each ticket would cost a third of its booking
	cost_nano INTEGER NOT NULL CHECK (cost_nano >= 0), -- what the account paid
	hold_nano INTEGER NOT NULL CHECK (hold_nano >= cost_nano),
	difference_nano INTEGER NOT NULL, -- usage × price − cost
	loss INTEGER NOT NULL -- house account that bears the difference, 0: nobody
) STRICT;

CREATE TABLE progress (
	id INTEGER PRIMARY KEY,
	board_index INTEGER NOT NULL,
	cost_nano INTEGER NOT NULL,
	hold_nano INTEGER NOT NULL
) STRICT;

-- What an administrator ordered and has not been booked yet. The row goes in the transaction that books it.
CREATE TABLE intent (
	id INTEGER PRIMARY KEY,
	ref TEXT NOT NULL UNIQUE,
	content BLOB NOT NULL,
	account INTEGER NOT NULL REFERENCES account (id),
	amount_nano INTEGER NOT NULL CHECK (amount_nano <> 0), -- > 0: credit
	reason TEXT NOT NULL
) STRICT;

-- Orders by the id that their giver chose, so that giving one twice does it once.
CREATE TABLE operation (
	ref TEXT PRIMARY KEY CHECK (length(ref) BETWEEN 1 AND 128),
	content BLOB NOT NULL, -- hash of what was ordered
	subject INTEGER NOT NULL, -- what came of it: id of the account, key or booking
	time_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE price (
	id INTEGER PRIMARY KEY,
	model INTEGER NOT NULL,
	from_ms INTEGER NOT NULL,
	added_us INTEGER NOT NULL,
	pico_input INTEGER NOT NULL,
	pico_cached INTEGER NOT NULL,
	pico_cache_write INTEGER NOT NULL,
	pico_cache_write_1h INTEGER NOT NULL,
	pico_audio_in INTEGER NOT NULL,
	pico_image_in INTEGER NOT NULL,
	pico_video_in INTEGER NOT NULL,
	pico_cached_audio INTEGER NOT NULL,
	pico_cached_image INTEGER NOT NULL,
	pico_output INTEGER NOT NULL,
	pico_reasoning INTEGER NOT NULL,
	pico_audio_out INTEGER NOT NULL,
	pico_image_out INTEGER NOT NULL,
	request_nano INTEGER NOT NULL,
	tier INTEGER NOT NULL, -- enum service_tier
	above_tokens INTEGER NOT NULL,
	geo_us_x100 INTEGER NOT NULL,
	tool_web_search_nano INTEGER NOT NULL,
	tool_file_search_nano INTEGER NOT NULL,
	tool_code_session_nano INTEGER NOT NULL
) STRICT;

CREATE TABLE model (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL
) STRICT;

CREATE TABLE provider (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL
) STRICT;

-- Every change of what authorises spending, numbered.
CREATE TABLE change (
	number INTEGER PRIMARY KEY,
	time_us INTEGER NOT NULL,
	what INTEGER NOT NULL, -- enum change_kind
	subject INTEGER NOT NULL
) STRICT;

-- A boot is a new board. Ids made under it lie between floor and ceiling; the next one's floor is above this one's ceiling.
CREATE TABLE boot (
	number INTEGER PRIMARY KEY,
	node INTEGER NOT NULL,
	started_us INTEGER NOT NULL,
	floor_ms INTEGER NOT NULL,
	ceiling_ms INTEGER NOT NULL CHECK (ceiling_ms >= floor_ms)
) STRICT;

CREATE TABLE usage_day (
	day INTEGER NOT NULL, -- days since 1970, UTC
	account INTEGER NOT NULL,
	key INTEGER NOT NULL,
	model INTEGER NOT NULL,
	requests INTEGER NOT NULL,
	failed INTEGER NOT NULL,
	cost_nano INTEGER NOT NULL,
	tokens_input INTEGER NOT NULL,
	tokens_cached INTEGER NOT NULL,
	tokens_cache_write INTEGER NOT NULL,
	tokens_cache_write_1h INTEGER NOT NULL,
	tokens_audio_in INTEGER NOT NULL,
	tokens_image_in INTEGER NOT NULL,
	tokens_video_in INTEGER NOT NULL,
	tokens_cached_audio INTEGER NOT NULL,
	tokens_cached_image INTEGER NOT NULL,
	tokens_output INTEGER NOT NULL,
	tokens_reasoning INTEGER NOT NULL,
	tokens_audio_out INTEGER NOT NULL,
	tokens_image_out INTEGER NOT NULL,
	tool_calls INTEGER NOT NULL,
	PRIMARY KEY (day, account, key, model)
) STRICT, WITHOUT ROWID;

-- Bookings up to this one are in usage_day.
CREATE TABLE usage_mark (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	booking INTEGER NOT NULL
) STRICT;
INSERT INTO usage_mark (one, booking) VALUES (1, 0);

INSERT INTO account (id, kind, name, created_us) VALUES
	(1, 1, 'revenue', 0),
	(2, 2, 'clearing', 0),
	(3, 3, 'adjustment', 0),
	(4, 4, 'free', 0),
	(5, 5, 'loss.crash', 0),
	(6, 6, 'loss.overrun', 0),
	(7, 7, 'loss.retry', 0),
	(8, 8, 'loss.estimate', 0),
	(9, 9, 'loss.node', 0);

CREATE TRIGGER posting_is_final BEFORE UPDATE ON posting BEGIN SELECT raise(ABORT, 'INV-5: a posting is never changed'); END;
CREATE TRIGGER posting_stays BEFORE DELETE ON posting BEGIN SELECT raise(ABORT, 'INV-5: a posting is never deleted'); END;
CREATE TRIGGER ticket_is_final BEFORE UPDATE ON ticket BEGIN SELECT raise(ABORT, 'INV-5: a ticket is never changed'); END;
CREATE TRIGGER ticket_stays BEFORE DELETE ON ticket BEGIN SELECT raise(ABORT, 'INV-5: a ticket is never deleted'); END;
CREATE TRIGGER booking_is_final BEFORE UPDATE ON booking BEGIN SELECT raise(ABORT, 'INV-5: a booking is never changed'); END;
CREATE TRIGGER booking_stays BEFORE DELETE ON booking BEGIN SELECT raise(ABORT, 'INV-5: a booking is never deleted'); END;
CREATE TRIGGER operation_is_final BEFORE UPDATE ON operation BEGIN SELECT raise(ABORT, 'INV-6: an operation is never changed'); END;
CREATE TRIGGER operation_stays BEFORE DELETE ON operation BEGIN SELECT raise(ABORT, 'INV-6: an operation is never deleted'); END;
CREATE TRIGGER change_is_final BEFORE UPDATE ON change BEGIN SELECT raise(ABORT, 'a change is never changed'); END;
CREATE TRIGGER change_stays BEFORE DELETE ON change BEGIN SELECT raise(ABORT, 'a change is never deleted'); END;
CREATE TRIGGER price_is_final BEFORE UPDATE ON price BEGIN SELECT raise(ABORT, 'INV-8: a price row is never changed'); END;
CREATE TRIGGER price_stays BEFORE DELETE ON price BEGIN SELECT raise(ABORT, 'INV-8: a price row is never deleted'); END;
