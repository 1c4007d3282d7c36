/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is counted against a client's address: its tracked connections and its resets. And
 * the limit of all resets.
 */
#pragma once

#include "xdp/guard_map.h"
#include "xdp/packet.h"

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

/* Takes a token of the bucket that limits all resets. Returns whether there was one. */
static __always_inline int take_token(__u32 per_second, __u64 now_ns)
{
	__u32 zero = 0, taken = 0;
	struct locked_budget *budget = bpf_map_lookup_elem(&reset_budget, &zero);

	if (!budget)
		return 0;
	bpf_spin_lock(&budget->lock);
	if (is_over(budget->filled_at_ns, now_ns, NS_PER_S)) {
		budget->filled_at_ns = now_ns;
		budget->tokens = per_second;
	}
	if (budget->tokens > 0) {
		budget->tokens--;
		taken = 1;
	}
	bpf_spin_unlock(&budget->lock);
	return taken;
}

/* Counts a reset against the client. Returns whether it is within the limits. */
static __always_inline int may_reset(const struct packet *pkt)
{
	struct guard *guard = bpf_map_lookup_elem(&guards, &pkt->key.client);

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
	if (!take_token(pkt->set->resets_per_second, pkt->now_ns)) {
		count(COUNT_KEPT_RATE);
		return 0;
	}
	__sync_fetch_and_add(&guard->resets, 1);
	return 1;
}
