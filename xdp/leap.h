/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Gaps that are given up: their segments took another way, or the segments that seem to
 * follow them are spoofed. The edge leaps to the latest segment, and a copy of the flow
 * stays at the old edge. A client that continues there was there all the time: only it
 * knows this number.
 *
 * After a leap no FIN or RST counts, because a blind sender would not have to guess an
 * exact number for the edge.
 */
#pragma once

#include "xdp/early.h"

/* Whether the gap before the segment has lasted for too long, and no segment after this
 * one is known.
 */
static __always_inline int is_given_up(const struct packet *pkt)
{
	const struct flow *flow = pkt->flow;

	if (!(flow->flags & (FLOW_EARLY | FLOW_DOUBT)) ||
	    (flow->flags & FLOW_EARLY &&
	     (!is_ahead(flow) ||
	      (__s32)(pkt->scratch->walking.seq - flow->last_early) < 0)))
		return 0;
	return since_gap(pkt, flow) > GAP_PATIENCE;
}

static __always_inline void keep_place(const struct packet *pkt)
{
	struct early_segment *copy = (void *)pkt->scratch->topic;

	charge(pkt->scratch, WORK_KEEP);
	if (!take_share(pkt))
		return;
	copy->len = EARLY_PLACE;
	__builtin_memcpy(copy->bytes, pkt->flow, sizeof(*pkt->flow));
	bpf_map_update_elem(&early_segments, key_of_early(pkt, pkt->flow->edge), copy,
			    BPF_ANY);
}

/* Moves the edge to the segment. */
static __noinline void leap(const struct packet *pkt)
{
	struct flow *flow = pkt->flow;

	keep_place(pkt);
	lose_boundaries(flow);
	forget_early(flow);
	flow->flags &= ~(FLOW_DOUBT | FLOW_FIN);
	flow->flags |= FLOW_LEAPT;
	flow->edge = pkt->scratch->walking.seq;
}

/* Whether the segment continues at the edge from before a leap. Then it is restored.
 */
static __noinline int leap_back(const struct packet *pkt)
{
	__u32 seq = pkt->scratch->walking.seq;
	struct flow *flow = pkt->flow;
	const struct early_segment *place;
	struct flow then;

	charge(pkt->scratch, WORK_LOOK_UP);
	place = find_early(pkt, seq);
	if (!place || place->len != EARLY_PLACE)
		return 0;
	__builtin_memcpy(&then, place->bytes, sizeof(then));
	if (then.isn != flow->isn || then.edge != seq)
		return 0;
	bpf_map_delete_elem(&early_segments, key_of_early(pkt, seq));
	give_share_back(pkt);
	flow->stream = then.stream;
	flow->open_qos2 = then.open_qos2;
	flow->edge = then.edge;
	flow->acked = then.acked;
	forget_early(flow);
	flow->flags &= ~FLOW_DOUBT;
	return 1;
}
