/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Walks the MQTT packets of a segment's payload, and sends a mispredicted segment
 * up to the TC probe.
 */
#pragma once

#include "xdp/answer.h"
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
static __noinline int pass_up(const struct steering *s, __u32 flags)
{
	const struct walking *at = &s->scratch->walking;
	struct xdp_md *ctx = s->ctx;
	struct mark *mark;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*mark)))
		return -1;
	mark = (void *)(long)ctx->data_meta;
	if ((void *)(mark + 1) > (void *)(long)ctx->data)
		return -1;
	__builtin_memset(mark, 0, sizeof(*mark));
	mark->magic = MARK_MAGIC;
	mark->seq = at->seq;
	mark->real = s->flow->real;
	mark->from_group = s->flow->group;
	mark->to_group = at->to_group;
	mark->service = s->key.service;
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
static __noinline int mend_without_probe(const struct steering *s)
{
	const struct walking *at = &s->scratch->walking;

	count(COUNT_NO_METADATA);
	if (!at->apart)
		report(s, at->action, at->action == ACTION_RESET ? EVENT_RESET_SENT : 0,
		       at->to_group, at->found.topic_len);
	return at->action == ACTION_RESET ? answer_with_rst(s->ctx) : XDP_DROP;
}

/* Finds the way back into a stream whose packet boundaries were lost: a segment
 * that begins with a PUBLISH of the topic that the flow published before. Payload
 * bytes do not look like that by chance: 64 bits of a secret hash must agree.
 */
static __noinline int back_in_step(struct steering *s)
{
	struct walking *at = &s->scratch->walking;
	struct stream *stream = &s->flow->stream;
	struct topic_part part;
	__u64 window = 0;

	count(COUNT_BLIND);
	if (!s->flow->topic_hash || at->payload_len < MQTT_WINDOW)
		return 0;
	/* Repeated bytes lead back to a boundary that later ones, which nobody
	 * repeats, have passed: the next new segment would look like a hole.
	 */
	if ((__s32)(at->seq + at->payload_len - s->flow->end_seq) < 0)
		return 0;
	if (bpf_xdp_load_bytes(s->ctx, at->payload_offset, &window, MQTT_WINDOW))
		return 0;
	stream_resume(stream, at->seq);
	stream->topic_len = 0;
	walk_step(stream, at->seq, at->payload_len, window, MQTT_WINDOW, &at->found);
	part = part_of_topic(stream, at->seq, at->payload_len);
	if (!stream->topic_len || part.len != stream->topic_len ||
	    hash_in_place(s->ctx, at->payload_offset + part.offset, part.len) !=
		    s->flow->topic_hash) {
		stream->blind = 1;
		return 0;
	}
	count(COUNT_RESYNCED);
	stream_resume(stream, at->seq);
	if ((stream->flags & STREAM_GAPS) != STREAM_GAPS)
		stream->flags += STREAM_GAP;
	return 1;
}

/* A step of the search for the early segment behind which the present one belongs, for
 * bpf_loop().
 */
static long find_place(__u32 index, void *steering)
{
	struct steering *s = steering;
	struct walking *at = &s->scratch->walking;
	const struct early_segment *early = find_early(s, at->place);

	if (!early || early->next == at->place || (__s32)(early->next - at->seq) > 0)
		return 1;
	at->place = early->next;
	return 0;
}

/* Puts the copy in the scratch into its place among the early segments, which are
 * chained in the order of their sequence numbers. Returns 0 on success.
 */
static __noinline int chain_early(struct steering *s, struct early_segment *copy)
{
	struct walking *at = &s->scratch->walking;
	struct flow *flow = s->flow;
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
		bpf_loop(MAX_EARLY, find_place, s, 0);
	}
	before = find_early(s, at->place);
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
static __noinline void keep_early(struct steering *s)
{
	const struct walking *at = &s->scratch->walking;
	struct early_segment *copy = (void *)s->scratch->topic;
	__u32 now = s->now_ns >> GAP_SHIFT;
	int chained;

	if (!(s->flow->flags & FLOW_EARLY))
		s->flow->gap_began = now;
	if (s->flow->early >= MAX_EARLY || now - s->flow->gap_began > GAP_PATIENCE ||
	    load(s, 0, 0, s->scratch->topic, at->payload_len, EARLY_BYTES)) {
		lose_boundaries(s->flow);
		return;
	}
	copy->len = at->payload_len;
	chained = chain_early(s, copy);
	if (chained < 0) {
		lose_boundaries(s->flow);
		return;
	}
	if (chained == 0)
		bpf_map_update_elem(&early_segments, key_of_early(s, at->seq), copy,
				    BPF_ANY);
	s->flow->early++;
	s->flow->flags |= FLOW_EARLY;
	count(COUNT_EARLY);
}

/* What came early and is no longer ahead. */
static __noinline void replay(struct steering *s)
{
	if (bpf_loop(MOST_REPLAYED, replay_next, s, 0) == MOST_REPLAYED)
		lose_boundaries(s->flow);
}

/* What a look at the payload begins with. Returns 0 on success. */
static __always_inline int begin_inspection(struct steering *s)
{
	struct walking *at;

	s->scratch = own_scratch();
	if (!s->scratch)
		return -1;
	at = &s->scratch->walking;
	at->seq = s->pkt->seq;
	at->payload_offset = s->pkt->payload_offset;
	at->payload_len = s->pkt->payload_len;
	at->default_group = s->service->default_group;
	at->action = 0;
	at->in_early = 0;
	return 0;
}

/* A segment in front of its connection's CONNECT. */
static __noinline void keep_eager(struct steering *s)
{
	if (!begin_inspection(s))
		keep_early(s);
}

/* Whether the segment is the usual one: a PUBLISH that needs no walk. */
static __always_inline int find_usual(const struct steering *s,
				      struct usual_publish *publish)
{
	__u32 at = s->pkt->payload_offset, len = s->pkt->payload_len;
	const void *data = (void *)(long)s->ctx->data;
	const void *data_end = (void *)(long)s->ctx->data_end;
	const __u64 *window = data + (at & FRAME_MASK);
	const __u8 *properties;

	if (len < MQTT_WINDOW || (void *)(window + 1) > data_end ||
	    s->flow->flags & FLOW_EARLY ||
	    !is_usual_publish(&s->flow->stream, s->pkt->seq, len, *window, publish))
		return 0;
	if (!publish->properties)
		return 1;
	properties = data + ((at + publish->properties) & FRAME_MASK);
	return (void *)(properties + 1) <= data_end && !*properties;
}

/* The usual segment publishes another topic than the one before, or the routes have
 * changed.
 */
static __always_inline void judge_usual(struct steering *s,
					const struct usual_publish *publish, __u64 hash)
{
	struct walking *at = &s->scratch->walking;

	s->flow->stream.topic = at->seq + publish->topic;
	at->found.packet_offset = 0;
	at->found.topic_offset = publish->topic;
	at->found.topic_len = publish->topic_len;
	at->hash = hash;
	at->apart = 0;
	if (!take_topic(s->ctx, at->payload_offset + publish->topic, publish->topic_len))
		judge(s, publish->topic_len);
}

/* What becomes of a segment once a PUBLISH has ended the walk. */
static __always_inline int end_connection(struct steering *s)
{
	__u8 action = s->scratch->walking.action;
	int verdict;

	leave_established(&s->key, s->flow,
			  action == ACTION_RESET ? FLOW_CONDEMNED : FLOW_DROPPED);
	verdict = pass_up(s, 0);
	return verdict >= 0 ? verdict : mend_without_probe(s);
}

/* Walks the MQTT packets of a segment's payload. */
static __always_inline void walk(struct steering *s)
{
	struct walking *at = &s->scratch->walking;
	struct flow *flow = s->flow;
	enum walk_place place;
	__u32 offset = 0;

	if (flow->stream.blind && !back_in_step(s))
		return;
	place = walk_begin(&flow->stream, at->seq, at->payload_len, &offset, &at->found);
	if (place == WALK_HOLE) {
		keep_early(s);
		if (!flow->stream.blind || !back_in_step(s))
			return;
		place = WALK_HERE;
	}
	if (place == WALK_HERE) {
		/* Most segments hold one packet: no loop for them. */
		if (!walk_field(s))
			bpf_loop(at->payload_len + LATE_FIELDS, walk_next, s, 0);
		if (flow->stream.phase >= STREAM_TOPIC && !at->action)
			keep_topic(s, 0, at->seq, at->payload_len);
		if (!flow->stream.blind)
			flow->early = 0;
	}
	if (flow->flags & FLOW_EARLY && !at->action) {
		flow->gap_began = s->now_ns >> GAP_SHIFT;
		replay(s);
	}
}

/* Judges the payload of a segment. Returns an XDP action when the segment ends here, else
 * FORWARD. Most repeat the topic of the one before: then nothing is written but the
 * stream's place (`early` is 0 where nothing waits and the stream is not blind).
 */
static __always_inline int inspect(struct steering *s)
{
	struct usual_publish publish;
	__u64 hash = 0;

	if (find_usual(s, &publish))
		hash = hash_topic(s->ctx, s->pkt->payload_offset + publish.topic,
				  publish.topic_len);
	if (hash) {
		count(COUNT_PUBLISH);
		s->flow->stream.next += s->pkt->payload_len;
		if (is_judged(s, hash))
			return FORWARD;
	}
	if (begin_inspection(s))
		return XDP_ABORTED;
	if (hash)
		judge_usual(s, &publish, hash);
	else
		walk(s);
	return s->scratch->walking.action ? end_connection(s) : FORWARD;
}
