/*
 * What processes may report: an event id and at most four numbers. The sentences are the scribe's; there is no free text.
 * X(NAME, severity, sentence with {0}..{3} for the numbers)
 * New ones are appended: processes of an older build know the others by their numbers (layout.h).
 */
#ifndef TICKET_EVENTS_H
#define TICKET_EVENTS_H

#define EVENTS(X) \
	X(STARTED, INFO, "process is up, vault grade {0}, landlock ABI {1}") \
	X(ENDED, INFO, "process ends") \
	X(CHILD_DIED, ALARM, "role {0} instance {1} ended, status {2}, restarted in {3} ms") \
	X(PROVIDER_ACCOUNT, ALARM, "provider {0} refuses our account, status {1}") \
	X(PROVIDER_UNREACHABLE, WARN, "provider {0} can't be reached, reason: {1}") \
	X(PROVIDER_TLS, ALARM, "TLS with provider {0} failed: kind {1}, number {2}") \
	X(TLS_RENEWED, INFO, "edge {0} uses the renewed certificates") \
	X(TLS_REFUSED, ALARM, "edge {0} can't use the renewed certificates; it goes on with the old ones") \
	X(ADDRESS_REFUSED, ALARM, "the name of provider {0} leads to an address that is not public; it is not used") \
	X(SLAB_EXHAUSTED, ALARM, "edge {0} has no free ticket: new requests wait until the ledger has booked") \
	X(VAULT_FULL, ALARM, "edge {0} has no content memory left, budget {1} bytes") \
	X(QUARANTINED, ALARM, "{0} tickets failed their checks") \
	X(STORE_FAILED, ALARM, "the store can't be written, code {0}; new requests are refused") \
	X(STORE_BACK, INFO, "the store is written again") \
	X(BOOKED_INTERRUPTED, WARN, "{0} interrupted exchanges were booked") \
	X(ACCEPT_FAILED, WARN, "accept failed, errno {0}") \
	X(TRACED, ALARM, "edge {0} is being traced; it wipes and ends") \
	X(LOSS, WARN, "loss account {0} grew by {1} nano") \
	X(CHILD_WROTE, WARN, "role {0} instance {1} wrote {2} bytes to its standard error, not shown") \
	X(EVENTS_DROPPED, WARN, "{0} events were not written") \
	X(DRAINING, INFO, "the server drains; at most {0} ms") \
	X(CATALOGUE, INFO, "catalogue {0} with {1} models is in force") \
	X(RELOADED, INFO, "a changed configuration is in force, generation {0} of edges serves; {1} settings wait for a restart") \
	X(RELOAD_REFUSED, ALARM, "the changed configuration can't be used and nothing was changed; `lethe reload` says why") \
	X(RELOAD_WAITS, WARN, "a changed configuration waits until edges of an older one have ended") \
	X(RETIRED, INFO, "the edges of generation {0} have ended") \
	X(KEY_QUARANTINED, ALARM, "key {0} is quarantined: twice an edge ended while it served it; `lethe key release` lifts that") \
	X(LOG_OPENED, INFO, "the log was opened anew") \
	X(LOG_FAILED, ALARM, "the log can't be opened anew, errno {0}; the old file is written on") \
	X(TURNED_AWAY, WARN, "edge {0} closed {1} connections above limits.connections_per_address and refused {2} requests above limits.bad_keys_per_minute") \
	X(COST_MISMATCH, ALARM, "{0} tickets state another cost than their usage gives") \
	X(UPGRADED, INFO, "version {0}.{1}.{2} serves now, by generation {3} of edges; the edges before it finish what they have") \
	X(UPGRADE_REFUSED, ALARM, "the server could not be upgraded and goes on as it was; `lethe upgrade` says why") \
	X(TARGET_FAILS, WARN, "provider {0} fails at its model {1}; others are asked before it for {2} ms") \
	X(TARGET_BACK, INFO, "provider {0} answers again at its model {1}") \
	X(KEY_REFUSED, ALARM, "provider {0} refuses our account by its key number {1}; others are asked before it for {2} ms") \
	X(KEY_BACK, INFO, "provider {0} takes its key number {1} again") \
	X(BOOKS_RIGHT, INFO, "the books were derived again and are right: {0} tickets, {1} bookings") \
	X(BOOKS_WRONG, ALARM, "the books are not right: {0} comparisons do not hold; `lethe ledger verify` says which") \
	X(WORK_UNMEASURED, ALARM, "what the batch or response of request {0} used can't be seen at provider {1}, which does not say it, or does not take the own key that it was begun with: settle its hold by hand, `lethe hold settle`") \
	X(WORK_ORPHANED, ALARM, "provider {1} may have begun a batch or response for request {0}, which nobody pays for: its id was not learned") \
	X(SIGNER_SILENT, ALARM, "edge {0} got no signature within {1} ms; new TLS handshakes fail until the signer answers again") \
	X(KEYS_REFUSED, ALARM, "the signer can't use the renewed private keys; certificates are not renewed") \
	X(SIGNER_TRACED, ALARM, "signer {0} is being traced; it wipes and ends") \
	X(PROVIDER_LOW, ALARM, "our account at provider {0} has {1} cents left, less than its low_balance; `lethe provider check` found it") \
	X(CHANGE_UNHEARD, ALARM, "change {0}, given at another server, has no room here: keys and limits of {1} are as they were until the next start") \
	X(STORE_AWAY, ALARM, "PostgreSQL can't be reached; this server goes on with its shares of the balances for {0} s at most, and keeps what it settles in its outbox") \
	X(OUTBOX_FULL, ALARM, "the outbox is full, {0} requests wait in it for PostgreSQL; new requests are refused (outbox_requests)") \
	X(OUTBOX_OVER, ALARM, "PostgreSQL could not be reached for too long, {0} requests wait in the outbox; new requests are refused (outbox_for)") \
	X(STORE_REACHED, INFO, "PostgreSQL is back; {0} requests that waited in the outbox are booked") \
	X(WORK_UNSAID, WARN, "edge {1} has no memory, or no time, to wait until the ledger hears that the batch or response of request {0} has ended before it began; what was set aside for it comes back within an hour and some minutes")

enum event_id {
	EVENT_NONE,
#define X(name, severity, text) EVENT_##name,
	EVENTS(X)
#undef X
		EVENT_COUNT
};

#endif
