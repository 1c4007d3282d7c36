/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is counted against a client's address: its tracked connections and its resets.
 */
#pragma once

#include "xdp/guard_map.h"
#include "xdp/packet.h"
#include "xdp/reset_shares.h"

/* The guard of the client. It is made if there is none. */
static __always_inline struct guard *guard_of(const struct packet *pkt)
{
	struct guard *guard = bpf_map_lookup_elem(&guards, &pkt->key.client);

	if (!guard) {
		struct guard fresh = {};

		bpf_map_update_elem(&guards, &pkt->key.client, &fresh, BPF_NOEXIST);
		guard = bpf_map_lookup_elem(&guards, &pkt->key.client);
	}
	return guard;
}

/* Takes a flow out of the established ones of its client. */
static __always_inline void leave_established(const struct flow_key *key,
					      struct flow *flow, __u8 state)
{
	if (flow->state == FLOW_ESTABLISHED)
		release_connection(&key->client);
	flow->state = state;
}

/* Counts a reset against the client. Returns whether it is within the limits. */
static __always_inline int may_reset(const struct packet *pkt)
{
	struct guard *guard = bpf_map_lookup_elem(&guards, &pkt->key.client);
	enum token token;

	if (!guard || (pkt->flow->flags & FLOW_KEPT)) {
		count(COUNT_KEPT_CLIENT);
		return 0;
	}
	if (is_over(guard->window_began_ns, pkt->now_ns, RESET_WINDOW_S * NS_PER_S)) {
		guard->window_began_ns = pkt->now_ns;
		guard->resets = 0;
	}
	if (guard->resets >= pkt->set->resets_per_client) {
		pkt->flow->flags |= FLOW_KEPT;
		count(COUNT_KEPT_CLIENT);
		return 0;
	}
	token = take_token(pkt);
	if (token != TOKEN_TAKEN) {
		count(token == TOKEN_SHARE ? COUNT_KEPT_NETWORK : COUNT_KEPT_RATE);
		return 0;
	}
	__sync_fetch_and_add(&guard->resets, 1);
	return 1;
}
