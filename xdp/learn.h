/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Predictions: what a client teaches, and what its next connection gets.
 */
#pragma once

#include "xdp/packet.h"

static __always_inline struct client_key client_of(const struct flow_key *flow)
{
	struct client_key key = { flow->client, flow->service, 0 };

	return key;
}

/* The group predicted for the client, or NO_GROUP. */
static __noinline __u32 predicted_group(const struct packet *pkt)
{
	struct client_key key = client_of(&pkt->key);
	const struct prediction *known = bpf_map_lookup_elem(&predictions, &key);

	return known && find_group(known->group) ? known->group : NO_GROUP;
}

/* Writes the prediction, so that the client's very next SYN goes to the right group.
 * Returns whether the client or its topic is new.
 */
static __always_inline int teach(const struct packet *pkt, __u64 hash, __u16 group)
{
	struct scratch *scratch = pkt->scratch;
	struct prediction *known;

	scratch->client_key = client_of(&pkt->key);
	known = bpf_map_lookup_elem(&predictions, &scratch->client_key);
	if (known && known->topic_hash == hash && known->group == group) {
		known->seen_at_ns = pkt->now_ns;
		return 0;
	}
	if (!(pkt->flow->flags & FLOW_TAUGHT)) {
		pkt->flow->flags |= FLOW_TAUGHT;
		pkt->flow->prior_group = known ? known->group : NO_GROUP;
	}
	if (known) {
		known->group = group;
		known->topic_hash = hash;
		known->seen_at_ns = pkt->now_ns;
	} else {
		scratch->prediction.topic_hash = hash;
		scratch->prediction.seen_at_ns = pkt->now_ns;
		scratch->prediction.group = group;
		bpf_map_update_elem(&predictions, &scratch->client_key,
				    &scratch->prediction, BPF_ANY);
	}
	count(COUNT_LEARNED);
	return 1;
}

/* The client says that it never opened this connection: somebody else spoke in its name.
 * Takes back what the flow taught.
 */
static __noinline void disown(const struct flow_key *flow_key, struct flow *flow)
{
	struct client_key key = client_of(flow_key);
	struct prediction *known;

	flow->stream.blind = 1;
	if (!(flow->flags & FLOW_TAUGHT))
		return;
	flow->flags &= ~FLOW_TAUGHT;
	known = bpf_map_lookup_elem(&predictions, &key);
	/* What another connection has taught since stays. */
	if (!known || known->topic_hash != flow->topic_hash)
		return;
	count(COUNT_UNLEARNED);
	known->topic_hash = 0;
	known->group = flow->prior_group;
}
