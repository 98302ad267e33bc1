/*
 * What may be lost of what was delivered when all processes end at once (killed, or the power cut): provided, and never charged. One row for each kind of loss; the
 * reference of the configuration has them, `./dev crash --loss` measures against them.
 *
 * X(NAME, durability, what is lost, at most in ms before the end, why)
 */
#ifndef LEDGER_LOSS_BOUNDS_H
#define LEDGER_LOSS_BOUNDS_H

#define LOSS_BOUNDS(X) \
	X(RUNNING, "either", "progress", 5000, \
		"what requests that run did in their last seconds: what they had cost is written at least so often, with a commit of a second at most, and is booked as interrupted; `lethe ledger verify` names them. One that began since then is not known") \
	X(FINISHED_BATCHED, "batched", "answers", 1000, "answers that had ended: they wait for the batch window and for one commit or two; a longer `batch_window` adds what it is longer") \
	X(FINISHED_STRICT, "strict", "answers", 0, "answers whose last byte a client has: none, it is sent when they are booked")

enum {
#define X(NAME, durability, lost, most_ms, why) LOSS_##NAME##_MS = most_ms,
	LOSS_BOUNDS(X)
#undef X
};

#endif
