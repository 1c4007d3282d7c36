/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Early segments: those that overtook a missing one. They are forwarded, because TCP
 * would suffer otherwise, and a copy is kept until the missing bytes come. Then they are
 * judged, before the broker can read them.
 *
 * The copies of a flow are chained in the order of their sequence numbers. They may
 * overlap each other, and the segment that closes the gap.
 */
#pragma once

#include "xdp/walk.h"

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

/* One step of the search for the early segment that precedes the present one, for
 * bpf_loop().
 */
static long find_place(__u32 index, void *packet)
{
	struct packet *pkt = packet;
	struct walking *at = &pkt->scratch->walking;
	const struct early_segment *early = find_early(pkt, at->place);

	if (!early || early->next == at->place || (__s32)(early->next - at->seq) > 0)
		return 1;
	at->place = early->next;
	return 0;
}

/* Chains the copy in the scratch. Returns 0 when it is to be kept, 1 when an equal or
 * longer one is there, and -1 on failure.
 */
static __noinline int chain_early(struct packet *pkt, struct early_segment *copy)
{
	struct walking *at = &pkt->scratch->walking;
	struct flow *flow = pkt->flow;
	struct early_segment *before;

	copy->next = at->seq;
	if (!(flow->flags & FLOW_EARLY)) {
		flow->first_early = at->seq;
		flow->last_early = at->seq;
		return 0;
	}
	if ((__s32)(at->seq - flow->first_early) < 0) {
		copy->next = flow->first_early;
		flow->first_early = at->seq;
		return 0;
	}
	at->place = flow->last_early;
	if ((__s32)(at->seq - flow->last_early) < 0) {
		at->place = flow->first_early;
		bpf_loop(MAX_EARLY, find_place, pkt, 0);
	}
	before = find_early(pkt, at->place);
	if (!before)
		return -1; /* pushed out */
	if (at->place == at->seq) {
		/* A copy of this one: the longer is kept. */
		copy->next = before->next;
		return before->len < copy->len ? 0 : 1;
	}
	if (before->next == at->place)
		flow->last_early = at->seq;
	else if ((__s32)(before->next - at->seq) > 0)
		copy->next = before->next;
	else
		return -1; /* too many to look through */
	before->next = at->seq;
	return 0;
}

/* Keeps a copy of the segment, which follows a gap. */
static __noinline void keep_early(struct packet *pkt)
{
	const struct walking *at = &pkt->scratch->walking;
	struct early_segment *copy = (void *)pkt->scratch->topic;
	__u32 now = pkt->now_ns >> GAP_SHIFT;
	int chained;

	if (!(pkt->flow->flags & FLOW_EARLY))
		pkt->flow->gap_began = now;
	if (pkt->flow->early >= MAX_EARLY || now - pkt->flow->gap_began > GAP_PATIENCE ||
	    load(pkt, 0, 0, pkt->scratch->topic, at->payload_len, EARLY_BYTES)) {
		lose_boundaries(pkt->flow);
		return;
	}
	copy->len = at->payload_len;
	chained = chain_early(pkt, copy);
	if (chained < 0) {
		lose_boundaries(pkt->flow);
		return;
	}
	if (chained == 0)
		bpf_map_update_elem(&early_segments, key_of_early(pkt, at->seq), copy,
				    BPF_ANY);
	pkt->flow->early++;
	pkt->flow->flags |= FLOW_EARLY;
	count(COUNT_EARLY);
}

/* Prepares the walk over the payload. Returns 0 on success. */
static __always_inline int begin_inspection(struct packet *pkt)
{
	struct walking *at;

	pkt->scratch = own_scratch();
	if (!pkt->scratch)
		return -1;
	at = &pkt->scratch->walking;
	at->seq = pkt->tcp->seq;
	at->payload_offset = pkt->tcp->payload_offset;
	at->payload_len = pkt->tcp->payload_len;
	at->default_group = pkt->service->default_group;
	at->action = 0;
	at->in_early = 0;
	return 0;
}

/* Keeps a segment that arrived before the CONNECT of its connection. */
static __noinline void keep_eager(struct packet *pkt)
{
	if (!begin_inspection(pkt))
		keep_early(pkt);
}

/* One field of an early segment. */
static __always_inline int walk_early(struct packet *pkt,
				      const struct early_segment *early, __u32 seq,
				      __u32 len, __u32 offset)
{
	struct walking *at = &pkt->scratch->walking;
	__u32 left = len - offset;

	FORGET(offset);
	if (offset >= EARLY_BYTES)
		return 1;
	if (left > MQTT_WINDOW)
		left = MQTT_WINDOW;
	switch (walk_step(&pkt->flow->stream, seq, len,
			  *(const __u64 *)(early->bytes + offset), left, &at->found)) {
	case FOUND_BAD:
		count(COUNT_MALFORMED);
		lose_boundaries(pkt->flow);
		return 1;
	case FOUND_PUBLISH:
		count(COUNT_PUBLISH);
		len = gather_topic(pkt, early, seq, len);
		return len ? judge(pkt, len) : 0;
	default:
		return 0;
	}
}

/* One step of the walk over the early segments that the stream has reached, for
 * bpf_loop(): a field, or the end of a segment.
 */
static long replay_next(__u32 index, void *packet)
{
	struct packet *pkt = packet;
	struct flow *flow = pkt->flow;
	__u32 seq = flow->first_early, offset = stream_wants(&flow->stream) - seq, next;
	const struct early_segment *early;

	if ((__s32)offset < 0)
		return 1;
	early = find_early(pkt, seq);
	if (!early) {
		lose_boundaries(flow); /* pushed out */
		return 1;
	}
	if (offset < early->len) {
		pkt->scratch->walking.in_early = 1;
		return walk_early(pkt, early, seq, early->len, offset);
	}
	if (flow->stream.phase >= STREAM_TOPIC)
		keep_topic(pkt, early, seq, early->len);
	count(COUNT_EARLY_JUDGED);
	next = early->next;
	bpf_map_delete_elem(&early_segments, key_of_early(pkt, seq));
	flow->first_early = next;
	if (next != seq)
		return 0;
	flow->flags &= ~FLOW_EARLY;
	return 1;
}

/* Steps over early segments at once: enough for all of them with a hundred messages each.
 */
#define MOST_REPLAYED (1 << 20)

/* Judges the early segments that the stream has reached. */
static __noinline void replay(struct packet *pkt)
{
	if (bpf_loop(MOST_REPLAYED, replay_next, pkt, 0) == MOST_REPLAYED)
		lose_boundaries(pkt->flow);
}
