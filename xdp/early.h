/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Early segments: those that overtook a missing one. They are forwarded, because TCP
 * would suffer otherwise, and a copy is kept until the missing bytes come. Then they are
 * judged, before the broker can read them: where that is too much work for one packet,
 * the missing bytes are withheld, and each further segment of the flow goes on with it.
 *
 * The copies of a flow are chained in the order of their sequence numbers. They may
 * overlap each other, and the segment that closes the gap.
 */
#pragma once

#include "xdp/walk.h"

/* Entries of `early_segments`; set before load. */
const volatile __u32 early_in_all = 1024;

/* How many of them one flow may have. */
static __always_inline __u32 share_of_flow(void)
{
	__u32 share = early_in_all / EARLY_SHARE / 2;

	return share < MAX_EARLY ? share : MAX_EARLY;
}

static __always_inline const struct early_key *key_of_early(const struct packet *pkt,
							    __u32 seq)
{
	struct early_key *key = &pkt->scratch->early_key;

	key->flow = pkt->key;
	key->seq = seq;
	return key;
}

static __always_inline struct early_segment *find_early(const struct packet *pkt,
							__u32 seq)
{
	return bpf_map_lookup_elem(&early_segments, key_of_early(pkt, seq));
}

/* ---- keeping them ------------------------------------------------------------ */

/* Takes room for one more from the client's share. Returns whether there is any. What
 * was kept and never judged counts until the window ends: nobody knows when it is gone.
 */
static __noinline int take_share(const struct packet *pkt)
{
	struct early_share *share = bpf_map_lookup_elem(&early_shares, &pkt->key.client);
	__u32 window = pkt->now_ns >> EARLY_WINDOW_SHIFT;

	if (!share) {
		struct early_share fresh = { window, 1 };

		bpf_map_update_elem(&early_shares, &pkt->key.client, &fresh, BPF_ANY);
		return 1;
	}
	if (share->window != window) {
		share->window = window;
		share->kept = 0;
	}
	if ((__s32)share->kept >= (__s32)(early_in_all / EARLY_SHARE))
		return 0;
	__sync_fetch_and_add(&share->kept, 1);
	return 1;
}

static __always_inline void give_share_back(const struct packet *pkt)
{
	struct early_share *share = bpf_map_lookup_elem(&early_shares, &pkt->key.client);

	if (share && (__s32)share->kept > 0)
		__sync_fetch_and_add(&share->kept, -1);
}

/* One step of the search for the early segment that precedes the present one, for
 * bpf_loop().
 */
static long find_place(__u32 index, void *packet)
{
	struct packet *pkt = packet;
	struct walking *at = &pkt->scratch->walking;
	const struct early_segment *early;
	__u32 next;

	charge(pkt->scratch, WORK_LOOK_UP);
	if (is_used_up(pkt->scratch) ||
	    (at->backward && (__s32)(at->place - at->seq) <= 0))
		return 1;
	early = find_early(pkt, at->place);
	if (!early)
		return 1;
	next = at->backward ? early->previous : early->next;
	if (next == at->place || (!at->backward && (__s32)(next - at->seq) > 0))
		return 1;
	at->place = next;
	return 0;
}

enum chained {
	CHAINED_NEW,
	CHAINED_LONGER, /* than the one that is there */
	CHAINED_BEFORE, /* an equal or longer one is there */
	NOT_CHAINED,	/* one was pushed out, or the search takes too long */
};

/* Chains the copy in the scratch. */
static __noinline enum chained chain_early(struct packet *pkt, struct early_segment *copy)
{
	struct walking *at = &pkt->scratch->walking;
	__u32 seq = at->seq;
	struct early_segment *before, *after;
	struct flow *flow = pkt->flow;

	copy->next = seq;
	copy->previous = seq;
	if (!(flow->flags & FLOW_EARLY)) {
		flow->first_early = seq;
		flow->last_early = seq;
		return CHAINED_NEW;
	}
	if ((__s32)(seq - flow->first_early) < 0) {
		after = find_early(pkt, flow->first_early);
		if (!after)
			return NOT_CHAINED;
		after->previous = seq;
		copy->next = flow->first_early;
		flow->first_early = seq;
		return CHAINED_NEW;
	}
	/* From the end that is nearer. */
	at->backward =
		(__s32)(flow->last_early - seq) <= (__s32)(seq - flow->first_early);
	at->place = at->backward ? flow->last_early : flow->first_early;
	bpf_loop(MAX_EARLY, find_place, pkt, 0);
	before = find_early(pkt, at->place);
	if (!before || is_used_up(pkt->scratch))
		return NOT_CHAINED;
	if (at->place == seq) {
		copy->next = before->next;
		copy->previous = before->previous;
		return before->len < copy->len ? CHAINED_LONGER : CHAINED_BEFORE;
	}
	copy->previous = at->place;
	if (before->next == at->place) {
		flow->last_early = seq;
	} else {
		copy->next = before->next;
		after = find_early(pkt, before->next);
		if (!after)
			return NOT_CHAINED;
		after->previous = seq;
	}
	before->next = seq;
	return CHAINED_NEW;
}

/* Keeps a copy of the segment, which follows a gap. It is dropped where there is no room
 * for the copy: then the client sends it again.
 */
static __noinline enum outcome keep_early(struct packet *pkt)
{
	struct early_segment *copy = (void *)pkt->scratch->topic;
	struct walking *at = &pkt->scratch->walking;
	__u32 now = pkt->now_ns >> GAP_SHIFT;
	struct flow *flow = pkt->flow;
	enum chained chained;

	at->allowed = WORK_ALLOWED_EARLY;
	charge(pkt->scratch, WORK_KEEP);
	/* Where early segments wait for their turn there is no gap. */
	if (!(flow->flags & FLOW_EARLY) || !is_ahead(flow))
		flow->gap_began = now;
	if (now - flow->gap_began > GAP_PATIENCE ||
	    load(pkt, 0, pkt->scratch->topic, at->payload_len, EARLY_BYTES)) {
		lose_boundaries(flow);
		return FORWARD;
	}
	if (flow->early >= share_of_flow() || !take_share(pkt))
		return drop(COUNT_EARLY_REFUSED);
	copy->len = at->payload_len;
	chained = chain_early(pkt, copy);
	if (chained == NOT_CHAINED) {
		if (is_used_up(pkt->scratch))
			leave_unjudged(pkt);
		else
			lose_boundaries(flow);
		return FORWARD;
	}
	count(COUNT_EARLY);
	if (chained == CHAINED_NEW) {
		flow->flags |= FLOW_EARLY;
		flow->early++;
	} else {
		give_share_back(pkt);
	}
	if (chained != CHAINED_BEFORE)
		bpf_map_update_elem(&early_segments, key_of_early(pkt, at->seq), copy,
				    BPF_ANY);
	return FORWARD;
}

/* ---- judging them ------------------------------------------------------------ */

/* The early segment at hand is judged. */
static __always_inline void release_early(struct packet *pkt)
{
	__u32 seq = pkt->scratch->walking.seq, next = pkt->early->next;
	struct flow *flow = pkt->flow;

	count(COUNT_EARLY_JUDGED);
	pkt->scratch->walking.allowed += WORK_ALLOWED - WORK_ALLOWED_EARLY;
	bpf_map_delete_elem(&early_segments, key_of_early(pkt, seq));
	give_share_back(pkt);
	flow->early--;
	flow->first_early = next;
	if (next == seq)
		flow->flags &= ~FLOW_EARLY;
}

/* Takes the first early segment, if the stream has reached it. Returns whether it has. */
static __always_inline int take_early(struct packet *pkt)
{
	struct walking *at = &pkt->scratch->walking;
	struct flow *flow = pkt->flow;

	if (!(flow->flags & FLOW_EARLY) || is_ahead(flow))
		return 0;
	charge(pkt->scratch, WORK_EARLY);
	at->seq = flow->first_early;
	pkt->early = find_early(pkt, at->seq);
	if (!pkt->early) {
		lose_boundaries(flow); /* pushed out */
		return 0;
	}
	at->in_early = 1;
	at->payload_len = pkt->early->len;
	flow->gap_began = pkt->now_ns >> GAP_SHIFT;
	return 1;
}

/* One step of the walk over the segment and the early ones that follow it, for
 * bpf_loop(): a field, or the end of a segment.
 */
static long walk_next(__u32 index, void *packet)
{
	struct packet *pkt = packet;

	if (!is_walked(pkt))
		return is_used_up(pkt->scratch) || walk_field(pkt);
	if (is_in_publish(&pkt->flow->stream))
		keep_topic(pkt);
	if (pkt->early)
		release_early(pkt);
	return is_used_up(pkt->scratch) || !take_early(pkt);
}

/* Whether the stream has reached early segments that are not judged yet. */
static __always_inline int is_behind(const struct flow *flow)
{
	return flow->flags & FLOW_EARLY && !is_ahead(flow);
}
