/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A packet to a service, as the functions of the mqtt stage hand it to each other: what
 * is a pointer, which the verifier follows on the stack only, and what goes into every
 * look-up. The rest of what is known lies in the scratch, because stack is short.
 */
#pragma once

#include "xdp/stage_maps.h"
#include "xdp/flow_table.h"

/* A packet to a service and what is known of its connection. */
struct packet {
	struct xdp_md *ctx;
	const struct service *service;
	const struct settings *set;
	const struct segment *tcp;
	struct flow *flow;	 /* of a tracked connection */
	struct scratch *scratch; /* while its payload is inspected */
	__u64 now_ns;
	struct flow_key key; /* look-ups are faster by one on the stack */
	__u32 group;	     /* where the connection goes, once that is decided */
	__u32 real;	     /* 0: to be picked */
};
static_assert(__builtin_offsetof(struct packet, key) % 8 == 0, "find_tracked()");

/* No XDP actions: the packet goes to its connection's real; or it is none of ours. */
#define FORWARD (-1)
#define PASS_ON (-2)

static __always_inline int drop(__u32 reason)
{
	count(reason);
	return XDP_DROP;
}

static __always_inline void leave_established(const struct flow_key *key,
					      struct flow *flow, __u8 state)
{
	struct guard *guard;

	if (flow->state == FLOW_ESTABLISHED) {
		guard = bpf_map_lookup_elem(&guards, &key->client);
		if (guard && guard->connections)
			__sync_fetch_and_add(&guard->connections, -1);
	}
	flow->state = state;
}
