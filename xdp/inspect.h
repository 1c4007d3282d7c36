/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Walks the MQTT packets of a segment's payload, and sends a mispredicted segment
 * up to the TC probe.
 */
#pragma once

#include "xdp/reply.h"
#include "xdp/walk.h"

/* Fields of a segment that take no byte of their own: one in a row. */
#define LATE_FIELDS 4
/* Steps over early segments at once: all of them with a hundred messages each.
 * Whoever makes more of tiny ones would keep the CPU for too long.
 */
#define MOST_REPLAYED (1 << 20)

/* A mispredicted segment goes up to the TC probe, marked. `flags`: more of enum
 * event_flags.
 */
static __noinline int pass_up(const struct packet *pkt, __u32 flags)
{
	const struct walking *at = &pkt->scratch->walking;
	struct xdp_md *ctx = pkt->ctx;
	struct mark *mark;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*mark)))
		return -1;
	mark = (void *)(long)ctx->data_meta;
	if ((void *)(mark + 1) > (void *)(long)ctx->data)
		return -1;
	__builtin_memset(mark, 0, sizeof(*mark));
	mark->magic = MARK_MAGIC;
	mark->seq = at->seq;
	mark->real = pkt->flow->real;
	mark->from_group = pkt->flow->group;
	mark->to_group = at->to_group;
	mark->service = pkt->key.service;
	mark->action = at->action;
	mark->flags = EVENT_SEGMENT | flags;
	if (at->apart) {
		mark->flags |= EVENT_TOPIC_APART;
	} else {
		mark->topic_offset = at->found.topic_offset;
		mark->topic_len = at->found.topic_len;
	}
	if (at->in_early || at->found.packet_offset < 0)
		mark->flags |= EVENT_BEGAN_EARLIER;
	else
		mark->publish_offset = at->found.packet_offset;
	return XDP_PASS;
}

/* The driver has no metadata: the topic is reported and the client reset here;
 * what stood in front of the PUBLISH is lost.
 */
static __noinline int mend_without_probe(const struct packet *pkt)
{
	const struct walking *at = &pkt->scratch->walking;

	count(COUNT_NO_METADATA);
	if (!at->apart)
		report(pkt, at->action, at->action == ACTION_RESET ? EVENT_RESET_SENT : 0,
		       at->to_group, at->found.topic_len);
	return at->action == ACTION_RESET ? reply_with_rst(pkt->ctx) : XDP_DROP;
}

/* Finds the way back into a stream whose packet boundaries were lost: a segment
 * that begins with a PUBLISH of the topic that the flow published before. Payload
 * bytes do not look like that by chance: 64 bits of a secret hash must agree.
 */
static __noinline int back_in_step(struct packet *pkt)
{
	struct walking *at = &pkt->scratch->walking;
	struct stream *stream = &pkt->flow->stream;
	struct topic_part part;
	__u64 window = 0;

	count(COUNT_BLIND);
	if (!pkt->flow->topic_hash || at->payload_len < MQTT_WINDOW)
		return 0;
	/* Repeated bytes lead back to a boundary that later ones, which nobody
	 * repeats, have passed: the next new segment would look like a hole.
	 */
	if ((__s32)(at->seq + at->payload_len - pkt->flow->end_seq) < 0)
		return 0;
	if (bpf_xdp_load_bytes(pkt->ctx, at->payload_offset, &window, MQTT_WINDOW))
		return 0;
	stream_resume(stream, at->seq);
	stream->topic_len = 0;
	walk_step(stream, at->seq, at->payload_len, window, MQTT_WINDOW, &at->found);
	part = part_of_topic(stream, at->seq, at->payload_len);
	if (!stream->topic_len || part.len != stream->topic_len ||
	    hash_in_place(pkt->ctx, at->payload_offset + part.offset, part.len) !=
		    pkt->flow->topic_hash) {
		stream->blind = 1;
		return 0;
	}
	count(COUNT_RESYNCED);
	stream_resume(stream, at->seq);
	if (pkt->flow->gaps != MAX_GAPS)
		pkt->flow->gaps++;
	return 1;
}

/* A step of the search for the early segment behind which the present one belongs, for
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

/* Puts the copy in the scratch into its place among the early segments, which are
 * chained in the order of their sequence numbers. Returns 0 on success.
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

/* A segment in front of which bytes are missing is forwarded, and kept until they
 * come: then it is judged, before the broker can read what it holds.
 */
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

/* What came early and is no longer ahead. */
static __noinline void replay(struct packet *pkt)
{
	if (bpf_loop(MOST_REPLAYED, replay_next, pkt, 0) == MOST_REPLAYED)
		lose_boundaries(pkt->flow);
}

/* What a look at the payload begins with. Returns 0 on success. */
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

/* A segment in front of its connection's CONNECT. */
static __noinline void keep_eager(struct packet *pkt)
{
	if (!begin_inspection(pkt))
		keep_early(pkt);
}

/* Whether the segment is the usual one: a PUBLISH that needs no walk. */
static __always_inline int find_usual(const struct packet *pkt,
				      struct usual_publish *publish)
{
	__u32 at = pkt->tcp->payload_offset, len = pkt->tcp->payload_len;
	const void *data = (void *)(long)pkt->ctx->data;
	const void *data_end = (void *)(long)pkt->ctx->data_end;
	const __u64 *window = data + (at & FRAME_MASK);
	const __u8 *properties;

	if (len < MQTT_WINDOW || (void *)(window + 1) > data_end ||
	    pkt->flow->flags & FLOW_EARLY ||
	    !is_usual_publish(&pkt->flow->stream, pkt->tcp->seq, len, *window, publish))
		return 0;
	if (!publish->properties)
		return 1;
	properties = data + ((at + publish->properties) & FRAME_MASK);
	return (void *)(properties + 1) <= data_end && !*properties;
}

/* The usual segment publishes another topic than the one before, or the routes have
 * changed.
 */
static __always_inline void judge_usual(struct packet *pkt,
					const struct usual_publish *publish, __u64 hash)
{
	struct walking *at = &pkt->scratch->walking;

	pkt->flow->stream.topic = at->seq + publish->topic;
	at->found.packet_offset = 0;
	at->found.topic_offset = publish->topic;
	at->found.topic_len = publish->topic_len;
	at->hash = hash;
	at->apart = 0;
	if (!take_topic(pkt->ctx, at->payload_offset + publish->topic,
			publish->topic_len))
		judge(pkt, publish->topic_len);
}

/* What becomes of a segment once a PUBLISH has ended the walk. */
static __always_inline int end_connection(struct packet *pkt)
{
	__u8 action = pkt->scratch->walking.action;
	int verdict;

	leave_established(&pkt->key, pkt->flow,
			  action == ACTION_RESET ? FLOW_CONDEMNED : FLOW_DROPPED);
	verdict = pass_up(pkt, 0);
	return verdict >= 0 ? verdict : mend_without_probe(pkt);
}

/* Walks the MQTT packets of a segment's payload. */
static __always_inline void walk(struct packet *pkt)
{
	struct walking *at = &pkt->scratch->walking;
	struct flow *flow = pkt->flow;
	enum walk_place place;
	__u32 offset = 0;

	if (flow->stream.blind && !back_in_step(pkt))
		return;
	place = walk_begin(&flow->stream, at->seq, at->payload_len, &offset, &at->found);
	if (place == WALK_HOLE) {
		keep_early(pkt);
		if (!flow->stream.blind || !back_in_step(pkt))
			return;
		place = WALK_HERE;
	}
	if (place == WALK_HERE) {
		/* Most segments hold one packet: no loop for them. */
		if (!walk_field(pkt))
			bpf_loop(at->payload_len + LATE_FIELDS, walk_next, pkt, 0);
		if (flow->stream.phase >= STREAM_TOPIC && !at->action)
			keep_topic(pkt, 0, at->seq, at->payload_len);
		if (!flow->stream.blind)
			flow->early = 0;
	}
	if (flow->flags & FLOW_EARLY && !at->action) {
		flow->gap_began = pkt->now_ns >> GAP_SHIFT;
		replay(pkt);
	}
}

/* Judges the payload of a segment. Returns an XDP action when the segment ends here, else
 * FORWARD. Most repeat the topic of the one before: then nothing is written but the
 * stream's place (`early` is 0 where nothing waits and the stream is not blind).
 */
static __always_inline int inspect(struct packet *pkt)
{
	struct usual_publish publish;
	__u64 hash = 0;

	if (find_usual(pkt, &publish))
		hash = hash_topic(pkt->ctx, pkt->tcp->payload_offset + publish.topic,
				  publish.topic_len);
	if (hash) {
		count(COUNT_PUBLISH);
		pkt->flow->stream.next += pkt->tcp->payload_len;
		if (is_judged(pkt, hash))
			return FORWARD;
	}
	if (begin_inspection(pkt))
		return XDP_ABORTED;
	if (hash)
		judge_usual(pkt, &publish, hash);
	else
		walk(pkt);
	return pkt->scratch->walking.action ? end_connection(pkt) : FORWARD;
}
