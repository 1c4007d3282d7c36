/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Early segments: those that overtook a missing one. They are forwarded, because TCP
 * would suffer otherwise, and a copy is kept until the missing bytes come. Then they are
 * judged, before the broker can read them. If that is too much work for one packet, the
 * missing bytes are withheld, and each further segment of the flow continues the work.
 *
 * The copies of a flow are chained in the order of their sequence numbers. They do not
 * overlap each other, but they may overlap the segment that closes the gap. Then a copy
 * counts only if it has the same bytes as that segment, which a spoofed one has not. If
 * bytes cannot contain news, because the stream is blind or they lie in a message, only
 * their place is kept.
 */
#pragma once

#include "xdp/credible.h"
#include "xdp/walk.h"

/* Entries of `early_segments`; set before load. */
const volatile __u32 early_in_all = 1024;

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

static __always_inline __u32 length_of(const struct early_segment *early)
{
	return early->len & EARLY_LEN;
}

/* ---- keeping them ------------------------------------------------------------ */

/* Takes room for one more from the client's share. Returns whether there was any. A copy
 * that was never judged counts until the window ends, because its removal is not noticed.
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

/* The hash of `len` bytes of the present segment. */
static __always_inline __u64 hash_of_bytes(const struct packet *pkt, __u32 offset,
					   __u32 len)
{
	if (load(pkt, offset, pkt->scratch->topic, len, MAX_TOPIC))
		return 0;
	return hash_text(len);
}

/* Whether the segment has the same bytes as the early one, which has them from `offset`
 * on. No bytes of a run are kept: it agrees.
 */
static __noinline int agrees_with(struct packet *pkt, struct early_segment *early,
				  __u32 offset)
{
	__u32 len = pkt->scratch->walking.payload_len;
	__u64 seen, kept;

	if (early->len & EARLY_RUN)
		return 1;
	charge(pkt->scratch, (len / 64 + 1) * 2 * WORK_HASH);
	seen = hash_of_bytes(pkt, 0, len);
	pkt->early = early;
	kept = hash_of_bytes(pkt, offset, len);
	pkt->early = 0;
	return seen && seen == kept;
}

enum chained {
	CHAINED,
	CHAINED_BEFORE, /* the same bytes are there */
	OVERLAPS,	/* some of its bytes are there, or others in their place */
	NOT_CHAINED,	/* one was pushed out, or the search takes too long */
};

/* Chains the copy in the scratch. */
static __noinline enum chained chain_early(struct packet *pkt, struct early_segment *copy)
{
	struct walking *at = &pkt->scratch->walking;
	__u32 seq = at->seq;
	struct early_segment *before, *after;
	struct flow *flow = pkt->flow;
	__u32 known;

	copy->next = seq;
	copy->previous = seq;
	if (!(flow->flags & FLOW_EARLY)) {
		flow->first_early = seq;
		flow->last_early = seq;
		return CHAINED;
	}
	if ((__s32)(seq - flow->first_early) < 0) {
		if (flow->first_early - seq < length_of(copy))
			return OVERLAPS;
		after = find_early(pkt, flow->first_early);
		if (!after)
			return NOT_CHAINED;
		after->previous = seq;
		copy->next = flow->first_early;
		flow->first_early = seq;
		return CHAINED;
	}
	/* Search from the nearer end. */
	at->backward =
		(__s32)(flow->last_early - seq) <= (__s32)(seq - flow->first_early);
	at->place = at->backward ? flow->last_early : flow->first_early;
	bpf_loop(MAX_EARLY, find_place, pkt, 0);
	before = find_early(pkt, at->place);
	if (!before || is_used_up(pkt->scratch))
		return NOT_CHAINED;
	known = at->place + length_of(before) - seq;
	if (at->place == seq || (__s32)known > 0) {
		if ((__s32)(known - length_of(copy)) < 0)
			return OVERLAPS;
		if (!agrees_with(pkt, before, seq - at->place))
			return OVERLAPS;
		if (known == at->payload_len)
			before->len |= at->fin;
		return CHAINED_BEFORE;
	}
	if (before->next != at->place && before->next - seq < length_of(copy))
		return OVERLAPS;
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
	return CHAINED;
}

/* Whether none of the segment's bytes need be kept. */
static __always_inline int is_run(const struct packet *pkt)
{
	const struct walking *at = &pkt->scratch->walking;

	return !at->payload_len ||
	       has_no_news(&pkt->flow->stream, at->seq + at->payload_len);
}

/* Whether the segment continues the last run, which it then extends. */
static __noinline int continue_run(struct packet *pkt)
{
	const struct walking *at = &pkt->scratch->walking;
	struct flow *flow = pkt->flow;
	struct early_segment *last;
	__u32 len;

	if (!(flow->flags & FLOW_EARLY))
		return 0;
	charge(pkt->scratch, WORK_LOOK_UP);
	last = find_early(pkt, flow->last_early);
	if (!last || !(last->len & EARLY_RUN))
		return 0;
	len = length_of(last) + at->payload_len;
	if (flow->last_early + length_of(last) != at->seq || len > EARLY_LEN)
		return 0;
	last->len = len | EARLY_RUN | at->fin;
	return 1;
}

/* Keeps a copy of the segment, which follows a gap. Without room for the copy, or if the
 * segment does not fit its connection, it is dropped, and the client sends it again.
 */
static __noinline enum outcome keep_early(struct packet *pkt)
{
	struct early_segment *copy = (void *)pkt->scratch->topic;
	struct walking *at = &pkt->scratch->walking;
	struct flow *flow = pkt->flow;
	enum chained chained;
	int run = is_run(pkt);

	at->allowed = WORK_ALLOWED_EARLY;
	charge(pkt->scratch, WORK_KEEP);
	/* If early segments only wait for their turn, there is no gap. */
	if (!(flow->flags & (FLOW_EARLY | FLOW_DOUBT)) ||
	    (flow->flags & FLOW_EARLY && !is_ahead(flow)))
		flow->gap_began = pkt->now_ns >> GAP_SHIFT;
	if (!is_credible(pkt, ACK_LEAP_AHEAD)) {
		flow->flags |= FLOW_DOUBT;
		return drop(COUNT_DOUBTED);
	}
	if (run && continue_run(pkt))
		return FORWARD;
	if (!run && load(pkt, 0, pkt->scratch->topic, at->payload_len, EARLY_BYTES)) {
		lose_boundaries(flow); /* too long */
		run = 1;
	}
	if (flow->early >= MAX_EARLY || !take_share(pkt))
		return flow->stream.blind ? FORWARD : drop(COUNT_EARLY_REFUSED);
	copy->len = at->payload_len | at->fin | (run ? EARLY_RUN : 0);
	chained = chain_early(pkt, copy);
	if (chained == NOT_CHAINED) {
		if (is_used_up(pkt->scratch)) {
			leave_unjudged(pkt);
		} else {
			lose_boundaries(flow);
			forget_early(flow);
		}
		return FORWARD;
	}
	if (!run)
		count(COUNT_EARLY);
	if (chained != CHAINED) {
		give_share_back(pkt);
		return chained == OVERLAPS ? drop(COUNT_DOUBTED) : FORWARD;
	}
	flow->flags |= FLOW_EARLY;
	flow->early++;
	bpf_map_update_elem(&early_segments, key_of_early(pkt, at->seq), copy, BPF_ANY);
	return FORWARD;
}

/* ---- judging them ------------------------------------------------------------ */

/* Takes the early segment at `seq` out of the chain. It is the first one, or the one
 * after the present one.
 */
static __noinline void remove_early(struct packet *pkt, __u32 seq, __u32 next)
{
	__u32 before = pkt->scratch->walking.seq;
	struct flow *flow = pkt->flow;
	int is_last = next == seq;
	struct early_segment *after;

	bpf_map_delete_elem(&early_segments, key_of_early(pkt, seq));
	give_share_back(pkt);
	flow->early--;
	if (!pkt->early || before == seq) {
		flow->first_early = next;
		if (is_last)
			flow->flags &= ~FLOW_EARLY;
		return;
	}
	pkt->early->next = is_last ? before : next;
	if (is_last) {
		flow->last_early = before;
		return;
	}
	after = find_early(pkt, next);
	if (after)
		after->previous = before;
}

/* Call this when the present early segment has been judged. */
static __always_inline void release_early(struct packet *pkt)
{
	if (!(pkt->early->len & EARLY_RUN))
		count(COUNT_EARLY_JUDGED);
	pkt->scratch->walking.allowed += WORK_ALLOWED - WORK_ALLOWED_EARLY;
	remove_early(pkt, pkt->scratch->walking.seq, pkt->early->next);
	pkt->early = 0;
}

/* Whether the early segment at `seq` repeats the bytes from there to the edge, which are
 * in the present segment. Negative if they are not, so that this is unknown.
 */
static __noinline int compare_early(struct packet *pkt, struct early_segment *early,
				    __u32 seq)
{
	struct walking *at = &pkt->scratch->walking;
	__u32 offset = seq - at->seq, common = pkt->flow->edge - seq;
	struct early_segment *at_hand = pkt->early;
	__u64 seen, repeated;

	charge(pkt->scratch, (common / 64 + 1) * 2 * WORK_HASH);
	if (offset > at->payload_len || common > at->payload_len - offset ||
	    (at_hand && at_hand->len & EARLY_RUN))
		return -1;
	seen = hash_of_bytes(pkt, offset, common);
	pkt->early = early;
	repeated = hash_of_bytes(pkt, 0, common);
	pkt->early = at_hand;
	return seen ? repeated == seen : -1;
}

/* The next early segment, if the edge has reached it. */
static __always_inline struct early_segment *reach_early(struct packet *pkt, __u32 *seq)
{
	struct flow *flow = pkt->flow;
	struct early_segment *early;

	if (!(flow->flags & FLOW_EARLY))
		return 0;
	*seq = pkt->early ? pkt->early->next : flow->first_early;
	if ((pkt->early && *seq == pkt->scratch->walking.seq) ||
	    (__s32)(*seq - flow->edge) > 0)
		return 0;
	charge(pkt->scratch, WORK_EARLY);
	early = find_early(pkt, *seq);
	if (!early) {
		lose_boundaries(flow); /* pushed out */
		forget_early(flow);
		pkt->early = 0;
	}
	return early;
}

/* Goes on with the walk in this early segment. */
static __always_inline void take_early(struct packet *pkt, struct early_segment *early,
				       __u32 seq)
{
	struct walking *at = &pkt->scratch->walking;

	pkt->early = early;
	at->seq = seq;
	at->payload_len = length_of(early);
	at->fin = early->len & EARLY_FIN;
	at->in_early = 1;
	at->passed = 0;
	pkt->flow->gap_began = pkt->now_ns >> GAP_SHIFT;
	if (early->len & EARLY_RUN && !is_walked(pkt))
		lose_boundaries(pkt->flow); /* its bytes were not kept */
}

/* Moves the edge to the end of the present segment. Only a FIN at that place counts.
 */
static __always_inline void pass_segment(struct packet *pkt)
{
	struct walking *at = &pkt->scratch->walking;
	__u32 end = at->seq + at->payload_len;
	struct flow *flow = pkt->flow;

	at->passed = 1;
	if (!flow->stream.blind && is_in_publish(&flow->stream))
		keep_topic(pkt);
	if ((__s32)(end - flow->edge) > 0) {
		flow->edge = end;
		flow->flags &= ~FLOW_FIN;
		if (flow->flags & FLOW_EARLY)
			flow->gap_began = pkt->now_ns >> GAP_SHIFT; /* another gap */
	}
	if (at->fin && end == flow->edge)
		flow->flags |= FLOW_FIN;
}

/* Whether the early segment at `seq`, which the edge has reached, counts. Negative if
 * only the segment that closed the gap can tell: it was withheld, and its client repeats
 * it.
 */
static __always_inline int counts(struct packet *pkt, struct early_segment *early,
				  __u32 seq)
{
	__u32 end = seq + length_of(early);
	struct flow *flow = pkt->flow;
	int agrees;

	if (seq == flow->edge)
		return 1;
	if ((__s32)(end - flow->edge) <= 0) {
		if (early->len & EARLY_FIN && end == flow->edge)
			flow->flags |= FLOW_FIN;
		return 0;
	}
	if (early->len & (EARLY_RUN | EARLY_AGREES))
		return 1;
	agrees = compare_early(pkt, early, seq);
	if (!agrees)
		count(COUNT_DOUBTED);
	if (agrees >= 0 || (__s32)(pkt->scratch->walking.seq - seq) > 0)
		return agrees;
	lose_boundaries(flow);
	return 1;
}

/* Goes on to the next early segment. Returns whether the walk is over. */
static __always_inline int go_on(struct packet *pkt)
{
	struct early_segment *early;
	int counted = 1;
	__u32 seq = 0;

	early = reach_early(pkt, &seq);
	if (early)
		counted = counts(pkt, early, seq);
	if (early && !counted)
		remove_early(pkt, seq, early->next);
	if (counted <= 0)
		return counted < 0;
	if (pkt->early)
		release_early(pkt);
	if (!early)
		return 1;
	early->len |= EARLY_AGREES;
	take_early(pkt, early, seq);
	return 0;
}

/* One step of the walk over the segment and the early ones that follow it, for
 * bpf_loop(): a field, or the end of a segment.
 */
static long walk_next(__u32 index, void *packet)
{
	struct packet *pkt = packet;
	struct walking *at = &pkt->scratch->walking;

	if (is_used_up(pkt->scratch))
		return 1;
	if (!at->passed) {
		if (!is_walked(pkt))
			return walk_field(pkt);
		pass_segment(pkt);
		if (is_used_up(pkt->scratch))
			return 1;
	}
	return go_on(pkt);
}

/* Whether the edge has reached early segments that are not judged yet. */
static __always_inline int is_behind(const struct flow *flow)
{
	return flow->flags & FLOW_EARLY && !is_ahead(flow);
}
