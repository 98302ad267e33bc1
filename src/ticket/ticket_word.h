/*
 * How a ticket's state and a slot's last mover are packed into 64 bits each. Edge, ledger, tests;
 * owns nothing.
 *
 * Word: seq 44 | unused 13 | kind 3 | leg 2 | p 1 | pending 1. Tag: ticket index 20 | seq 44.
 * docs/ticket-protocol.md, section 2.
 */
#ifndef TICKET_TICKET_WORD_H
#define TICKET_TICKET_WORD_H

#include "core/base.h"
#include "ticket/ticket.h"

#define TICKET_SEQ_BITS 44
#define TICKET_SEQ_MASK ((1ULL << TICKET_SEQ_BITS) - 1)
/* The index that names no ticket: the ledger opened or closed the slot. */
#define TICKET_INDEX_NONE ((1U << 20) - 1)
#define TICKET_PENDING 1ULL


static inline uint64_t
word_pack(uint64_t seq, enum ticket_kind kind, unsigned leg, unsigned p, bool pending)
{
	return (seq & TICKET_SEQ_MASK) << 20 | (uint64_t)kind << 4 | (uint64_t)leg << 2 | (uint64_t)p << 1 | pending;
}

static inline uint64_t
word_seq(uint64_t word)
{
	return word >> 20;
}

static inline enum ticket_kind
word_kind(uint64_t word)
{
	return (enum ticket_kind)(word >> 4 & 7);
}

static inline unsigned
word_leg(uint64_t word)
{
	return word >> 2 & 3;
}

static inline unsigned
word_p(uint64_t word)
{
	return word >> 1 & 1;
}

static inline bool
word_pending(uint64_t word)
{
	return word & TICKET_PENDING;
}

static inline uint64_t
tag_pack(uint32_t index, uint64_t seq)
{
	return (uint64_t)index << TICKET_SEQ_BITS | (seq & TICKET_SEQ_MASK);
}

static inline uint32_t
tag_index(uint64_t tag)
{
	return (uint32_t)(tag >> TICKET_SEQ_BITS);
}

static inline uint64_t
tag_seq(uint64_t tag)
{
	return tag & TICKET_SEQ_MASK;
}

#endif
