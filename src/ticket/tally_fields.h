/*
 * What is summed up over booked tickets and told of the ledger: the tables from which tally.h makes its struct, the scribe its metrics and
 * `lethe top` its columns. Labels come from here and from the catalogue, never from a request.
 */
#ifndef TICKET_TALLY_FIELDS_H
#define TICKET_TALLY_FIELDS_H

/*
 * Answers by HTTP status: those that are told one by one; others by their class. X(NAME, number, label)
 */
#define TALLY_STATUSES(X) \
	X(NONE, 0, "none") \
	X(200, 200, "200") \
	X(400, 400, "400") \
	X(401, 401, "401") \
	X(402, 402, "402") \
	X(403, 403, "403") \
	X(404, 404, "404") \
	X(405, 405, "405") \
	X(408, 408, "408") \
	X(409, 409, "409") \
	X(413, 413, "413") \
	X(415, 415, "415") \
	X(422, 422, "422") \
	X(429, 429, "429") \
	X(499, 499, "499") \
	X(500, 500, "500") \
	X(501, 501, "501") \
	X(502, 502, "502") \
	X(503, 503, "503") \
	X(504, 504, "504") \
	X(529, 529, "529") \
	X(2XX, 0, "2xx") \
	X(3XX, 0, "3xx") \
	X(4XX, 0, "4xx") \
	X(5XX, 0, "5xx") \
	X(OTHER, 0, "other")

/* Upper bounds of a request's times. X(milliseconds) */
#define TALLY_TIMES(X) \
	X(50) \
	X(100) \
	X(200) X(300) X(500) X(750) X(1000) X(1500) X(2000) X(3000) X(5000) X(7500) X(10000) X(15000) X(20000) X(30000) X(60000) X(120000) \
		X(300000) X(600000)

/* Of one booking's transaction. X(microseconds) */
#define TALLY_COMMITS(X) \
	X(500) \
	X(1000) \
	X(2000) X(5000) X(10000) X(20000) X(50000) X(100000) X(200000) X(500000) X(1000000) X(2000000) X(5000000) X(10000000)

/* Tickets of one booking. X(count) */
#define TALLY_BATCHES(X) X(1) X(2) X(5) X(10) X(20) X(50) X(100) X(200) X(500) X(1000) X(2000) X(4096)

/* From an exchange's end to its booking. X(milliseconds) */
#define TALLY_HAND_INS(X) X(10) X(20) X(50) X(100) X(200) X(500) X(1000) X(2000) X(5000) X(10000) X(60000)

/*
 * What the ledger tells of itself. X(name, counter or gauge, metric, places, meaning)
 * metric: its name behind lethe_; places: of a decimal point, from the right.
 */
#define TALLY_LEDGER(X) \
	X(quarantined, counter, "ledger_quarantined_tickets_total", 0, "Tickets that failed their checks and were not booked.") \
	X(mismatched, counter, "ledger_mismatched_tickets_total", 0, "Tickets whose stated cost is not what their usage gives.") \
	X(interrupted, counter, "ledger_interrupted_tickets_total", 0, "Exchanges that were booked as interrupted, because a process died.") \
	X(store_failures, counter, "ledger_store_failures_total", 0, "Times that the store could not be written.") \
	X(events_lost, counter, "ledger_events_lost_total", 0, "Events of the ledger that the scribe could not take.") \
	X(accepting, gauge, "ledger_accepting", 0, "1 while new requests are taken; 0: the store can't be written, or the server starts or drains.") \
	X(last_round_ms, gauge, "ledger_last_round_timestamp_seconds", 3, "When the ledger last looked for tickets to book.") \
	X(slots, gauge, "board_slots", 0, "Accounts that the board has room for.") \
	X(slots_used, gauge, "board_slots_used", 0, "Accounts that are on the board.") \
	X(keys, gauge, "api_keys", 0, "API keys that edges know, revoked ones included.") \
	X(customers_nano, gauge, "customer_balance_dollars", 9, "What all customers' accounts hold together.") \
	X(outbox_waiting, gauge, "outbox_waiting_tickets", 0, "Tickets that were settled while PostgreSQL could not be reached, and are not in it yet.") \
	X(outbox_oldest_s, gauge, "outbox_oldest_seconds", 0, "Since the request began that waits there for the longest; 0: none waits.")

/*
 * What there is to know of PostgreSQL when the books are in it: what `lethe doctor` asks, and the ledger every minute.
 * X(NAME, label, its name in the doctor, what the number is)
 */
#define STORE_FACTS(X) \
	X(REACHED, "reached", "store", "0; 2 as its state: no connection, and nothing else is told") \
	X(VERSION, "version", "store version", "of the server, major times 10000 plus minor") \
	X(ENCODING, "encoding", "store encoding", "0") \
	X(KEPT, "on_disk", "store on disk", "0; its state: what was acknowledged outlives a power cut") \
	X(RIGHTS, "rights", "store rights", "0; its state: the role may write what it needs") \
	X(SCHEMA, "tables", "store tables", "the migration that its tables are of") \
	X(LATENCY, "latency", "store latency", "microseconds of a round trip, the shortest of five") \
	X(TLS, "connection", "store connection", "0; its state: over a network by TLS, to a server that was verified") \
	X(CLOCK, "clock_apart", "store clock", "microseconds between its clock and this machine's")

/*
 * What a ticket on the board is doing. X(name, label, meaning)
 */
#define BOARD_STATES(X) \
	X(FREE, "free", "not in use") \
	X(RESERVING, "reserving", "money is being taken or given back") \
	X(WAITING, "waiting", "the provider has not answered yet") \
	X(ANSWERING, "answering", "an answer is on its way") \
	X(SETTLED, "settled", "ended, and waits to be booked") \
	X(GIVING, "giving", "booked; what is left of the hold is given back")

#endif
