/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The counts kept for a client: its tracked connections and its resets.
 */
#pragma once

#include "xdp/learn.h"
#include "xdp/reset_shares.h"

/* Notes the event in the entry of the packet's client. `most` own changes in a day make
 * it a client that keeps changing.
 */
static __always_inline void note_among(const struct packet *pkt, enum client_event event,
				       __u32 most)
{
	struct scratch *scratch = own_scratch();

	if (!scratch)
		return;
	scratch->client.note.event = event;
	scratch->client.note.now = clock_of(pkt);
	scratch->client.note.most = most;
	note_event(&pkt->key);
}

static __always_inline void note(const struct packet *pkt, enum client_event event)
{
	note_among(pkt, event, pkt->set->changes_per_day);
}

/* Removes a flow from its client's count of established ones. */
static __always_inline void leave_established(const struct flow_key *key,
					      struct flow *flow, __u8 state)
{
	if (flow->state == FLOW_ESTABLISHED)
		release_connection(key);
	flow->state = state;
}

/* Counts a reset against the client. Returns whether it is within the limits. */
static __always_inline int may_reset(const struct packet *pkt)
{
	const struct client *client = client_of(pkt);
	__u32 token;

	if (!client || (pkt->flow->flags & FLOW_KEPT)) {
		count(COUNT_KEPT_CLIENT);
		return 0;
	}
	if (client->resets >= pkt->set->resets_per_client) {
		pkt->flow->flags |= FLOW_KEPT;
		count(COUNT_KEPT_CLIENT);
		return 0;
	}
	token = take_token(&pkt->key.client, pkt->set->resets_per_second, pkt->now_ns);
	if (token != TOKEN_TAKEN) {
		count(token == TOKEN_SHARE ? COUNT_KEPT_NETWORK : COUNT_KEPT_RATE);
		return 0;
	}
	note(pkt, CLIENT_RESET);
	return 1;
}
