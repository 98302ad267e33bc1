/*
 * Every metric but the edges' and the ledger's own counters, which are rows of ticket/counters.h and ticket/tally_fields.h. The scribe writes
 * them in this order, docs/reference/metrics.md lists them.
 *
 * X(what writes it, name behind lethe_, type, labels, meaning)
 */
#ifndef SCRIBE_METRIC_ROWS_H
#define SCRIBE_METRIC_ROWS_H

#define PER_MODEL "model, provider, lane"

#define METRICS(X) \
	X(build, "build_info", INFO, "version", "The version that runs; always 1.") \
	X(start, "start_time_seconds", GAUGE, "", "When the server started.") \
	X(generation, "generation", GAUGE, "", "Generation of edges that serves: 1 at the start, one more with each changed configuration and each upgrade.") \
	X(upgrades, "upgrades_total", COUNTER, "", "Upgrades to another binary since the start.") \
	X(requests, "requests_total", COUNTER, PER_MODEL ", status, reason, severity", \
		"Requests that were booked, by the answer's HTTP status and how they ended. Those refused before they held money are in exchanges_ended only.") \
	X(estimated, "estimated_requests_total", COUNTER, PER_MODEL, "Requests whose usage had to be estimated.") \
	X(legs, "legs_total", COUNTER, PER_MODEL, "Parts of answers that another model than the asked one gave.") \
	X(tokens, "tokens_total", COUNTER, PER_MODEL ", kind", "Tokens as booked; the kinds are disjoint. Without those of attempts that failed and were followed by another.") \
	X(tools, "tool_calls_total", COUNTER, PER_MODEL ", tool", "What the provider did itself and bills by the piece.") \
	X(cost, "cost_dollars_total", COUNTER, PER_MODEL, "What customers were charged, exact to the nano-dollar.") \
	X(duration, "request_duration_seconds", HISTOGRAM, PER_MODEL, "From a complete request head to the answer's last byte.") \
	X(first_byte, "request_first_byte_seconds", HISTOGRAM, PER_MODEL, "From a complete request head to the answer's first byte, of those that had one.") \
	X(ended, "exchanges_ended_total", COUNTER, "edge, reason, severity", "All exchanges by how they ended, refused ones included.") \
	X(vault_budget, "vault_budget_bytes", GAUGE, "edge", "Most memory for content that an edge may map.") \
	X(circuit_state, "circuit_state", GAUGE, "model, provider, upstream", \
		"Who is asked first: 0 it is, 1 it rests as long as it said, 2 it failed and others are asked before it, 4 one request finds out whether it answers again.") \
	X(circuit_key, "circuit_key_state", GAUGE, "provider, key", "The same of a provider's key, by its number from 0; 3 the provider refuses the account behind it.") \
	X(circuit_opened, "circuit_opened_total", COUNTER, "model, provider, upstream", "How often a target was put behind the others.") \
	X(board_tickets, "board_tickets", GAUGE, "edge, state", "Tickets on the board by what they do; looked at every five seconds.") \
	X(commit, "ledger_commit_seconds", HISTOGRAM, "", "One booking: from the first ticket to the end of its commit.") \
	X(batch, "ledger_batch_tickets", HISTOGRAM, "", "Tickets of one booking.") \
	X(hand_in, "ledger_hand_in_seconds", HISTOGRAM, "", "From an exchange's end to its booking.") \
	X(house, "house_balance_dollars", GAUGE, "account", "Balance of an account of the operator's own; of a loss account it is negative.") \
	X(process_up, "process_up", GAUGE, "role, instance", "1 when the process serves.") \
	X(process_start, "process_start_time_seconds", GAUGE, "role, instance", "When the process was last started.") \
	X(process_restarts, "process_restarts_total", COUNTER, "role, instance", "Times that the process died and was started again.") \
	X(machine_state, "machine_state", GAUGE, "fact", "What `lethe doctor` says of the machine: 0 well, 1 doubtful, 2 bad; looked at every minute.") \
	X(machine_value, "machine_value", GAUGE, "fact", "The number that it goes by; see the facts below.") \
	X(store_state, "store_state", GAUGE, "fact", \
		"What `lethe doctor` says of PostgreSQL, when the books are in it: 0 well, 1 doubtful, 2 bad; looked at every minute. When it is not reached `reached` alone is told.") \
	X(store_value, "store_value", GAUGE, "fact", "The number that it goes by; see the facts of a store below.") \
	X(events, "events_total", COUNTER, "role, event, severity", "Events by the role that reported them.") \
	X(spans_sent, "otlp_spans_sent_total", COUNTER, "", "Spans that the OpenTelemetry collector took.") \
	X(spans_dropped, "otlp_spans_dropped_total", COUNTER, "", "Spans that it refused, or that there was no room for while it was away.") \
	X(spans_failed, "otlp_requests_failed_total", COUNTER, "", "Times that it could not be reached, did not answer in time, or refused.") \
	X(dropped, "log_lines_dropped_total", COUNTER, "", "Events that were not written to the log.")

#endif
