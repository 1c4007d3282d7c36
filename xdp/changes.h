/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Addresses that keep moving between groups: devices that publish to several groups, and
 * clients of several groups behind one address. A reset moves them for one message only,
 * and costs more than it gains. So connections of an address that has changed
 * `changes_per_day` times within a day are kept, until a day has passed without a change.
 * If the router serves such addresses, it gets them, and one change is enough for an
 * address with several living connections: the others stay in the group that one leaves.
 *
 * Only an address's own changes count, so that forged lessons do not settle an address.
 * An address that was mispredicted twice in a day is questioned at its next SYN
 * (questions.h). A change counts if its connection has answered, and if a connection that
 * had answered taught the group that it leaves: a real client that corrects a forged
 * lesson has not changed. Each connection counts once, so the next change needs another
 * one. When a host says that it never opened a connection, all its changes are forgotten.
 *
 * The counts are in the client's entry (bpf/clients.h).
 */
#pragma once

#include "xdp/guards.h"
#include "xdp/questions.h"
#include "xdp/router.h"

/* Whether connections of this client are kept. */
static __always_inline int is_changing(const struct packet *pkt,
				       const struct client *client)
{
	return pkt->set->changes_per_day && client->changes == CHANGING;
}

/* The number of own changes in a day that settle the packet's client; 0: none does. */
static __always_inline __u32 most_changes(const struct packet *pkt)
{
	__u32 most = pkt->set->changes_per_day;
	const struct client *client;

	if (!most || !router_has_room(pkt))
		return most;
	client = client_of(pkt);
	return client && client->connections > 1 ? 1 : most;
}

/* Call this when the flow has taught `group`. The lesson is in the scratch. */
static __always_inline void note_group(const struct packet *pkt, __u16 group)
{
	const struct prediction *before = &pkt->scratch->lesson.before;
	struct flow *flow = pkt->flow;
	int is_own;

	if (group == flow->group)
		return;
	is_own = flow->flags & FLOW_ANSWERED && before->group == flow->group &&
		 before->flags & PREDICTION_ANSWERED;
	if (is_own)
		note_among(pkt, CLIENT_CHANGED, most_changes(pkt));
	else
		note(pkt, CLIENT_MISPREDICTED);
	flow->flags &= ~FLOW_ANSWERED;
}

/* Call this when somebody else has sent packets in the name of this address. */
static __always_inline void forget_changes(const struct packet *pkt)
{
	note(pkt, CLIENT_FORGED);
}

/* Whether connections of this packet's client are kept because it keeps changing.
 */
static __always_inline int is_kept_for_changes(const struct packet *pkt)
{
	const struct client *client = client_of(pkt);

	return client && is_changing(pkt, client);
}

/* Whether the client of a SYN must be questioned first. */
static __always_inline int is_to_be_asked(const struct packet *pkt,
					  const struct client *client)
{
	return client && pkt->set->changes_per_day && client->doubts >= DOUBTS &&
	       client->questions < QUESTIONS_A_DAY && !is_changing(pkt, client);
}
