/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Addresses that change between groups all the time: devices that publish to several
 * groups, and clients of several groups behind one address. A reset moves them for one
 * message only, and costs more than it brings. An address that has changed
 * `changes_per_day` times within a day is therefore kept, until a day has passed without
 * a change.
 *
 * Only an address's own changes count, so that forged lessons put nobody there. An
 * address that was mispredicted twice in a day is asked at its next SYN (questions.h). A
 * change counts if its connection has answered, and if a connection that had answered
 * taught the group that it leaves: a real client that corrects a forged lesson has not
 * changed. Each connection counts once, so the next change takes another one. When a host
 * says that it never opened a connection, all that is known of its changes is forgotten.
 */
#pragma once

#include "xdp/guards.h"
#include "xdp/questions.h"

/* Mispredicts in a day after which an address is asked. */
#define DOUBTS 2
/* Some stacks need a second to repeat their SYN. */
#define QUESTIONS_A_DAY 32
#define DAY_NS		(24 * 3600 * NS_PER_S)

/* `taught_group` of a guard. */
#define TAUGHT_NOTHING 0
#define TAUGHT(group)  ((group) + 1)

/* Whether connections of this address are kept. */
static __always_inline int is_changing(const struct packet *pkt,
				       const struct guard *guard)
{
	__u32 most = pkt->set->changes_per_day;

	return most && guard->changes >= most &&
	       !is_over(guard->changed_at_ns, pkt->now_ns, DAY_NS);
}

static __always_inline void begin_day(const struct packet *pkt, struct guard *guard)
{
	if (!is_over(guard->day_began_ns, pkt->now_ns, DAY_NS))
		return;
	guard->day_began_ns = pkt->now_ns;
	guard->doubts = 0;
	guard->questions = 0;
	if (!is_changing(pkt, guard))
		guard->changes = 0;
}

/* The flow has published to a topic of `group`. */
static __noinline void note_group(const struct packet *pkt, __u16 group)
{
	struct guard *guard = bpf_map_lookup_elem(&guards, &pkt->key.client);
	struct flow *flow = pkt->flow;

	if (!guard)
		return;
	begin_day(pkt, guard);
	if (group != flow->group) {
		if (guard->changes >= pkt->set->changes_per_day &&
		    !is_changing(pkt, guard))
			guard->changes = 0;
		if (guard->doubts < DOUBTS)
			guard->doubts++;
		if (flow->flags & FLOW_ANSWERED &&
		    guard->taught_group == TAUGHT(flow->group) &&
		    guard->changes < pkt->set->changes_per_day)
			guard->changes++;
		guard->changed_at_ns = pkt->now_ns;
	}
	if (!(flow->flags & FLOW_ANSWERED))
		return;
	guard->taught_group = TAUGHT(group);
	if (group != flow->group)
		flow->flags &= ~FLOW_ANSWERED;
}

/* Somebody else speaks in the name of this address. */
static __always_inline void forget_changes(const struct packet *pkt)
{
	struct guard *guard = bpf_map_lookup_elem(&guards, &pkt->key.client);

	if (!guard)
		return;
	guard->changes = 0;
	guard->taught_group = TAUGHT_NOTHING;
}

/* Whether connections of this packet's client are kept because it changes all the time.
 */
static __noinline int is_kept_for_changes(const struct packet *pkt)
{
	const struct guard *guard = bpf_map_lookup_elem(&guards, &pkt->key.client);

	return guard && is_changing(pkt, guard);
}

/* Whether the client of a SYN is to be asked first. */
static __noinline int is_to_be_asked(const struct packet *pkt)
{
	struct guard *guard = bpf_map_lookup_elem(&guards, &pkt->key.client);

	if (!guard || !pkt->set->changes_per_day || guard->doubts < DOUBTS ||
	    is_changing(pkt, guard))
		return 0;
	begin_day(pkt, guard);
	if (guard->doubts < DOUBTS || guard->questions >= QUESTIONS_A_DAY)
		return 0;
	guard->questions++;
	return 1;
}
