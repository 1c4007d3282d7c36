/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Looks at the payload of a segment: which PUBLISHes it holds, and whether they belong to
 * the group of the connection.
 */
#pragma once

#include "xdp/early.h"
#include "xdp/mispredict.h"

/* Finds the packet boundaries of a blind stream again, at a segment that begins with a
 * PUBLISH of the topic that the flow published last. Payload does not look like that by
 * chance: 64 bits of a secret hash must agree.
 */
static __noinline int back_in_step(struct packet *pkt)
{
	struct walking *at = &pkt->scratch->walking;
	struct stream *stream = &pkt->flow->stream;
	struct topic_part part;
	__u64 window = 0;

	count(COUNT_BLIND);
	/* A stream that has cost too much rests first. */
	if (!pkt->flow->topic_hash || at->payload_len < MQTT_WINDOW || pkt->flow->spent)
		return 0;
	/* Not at repeated bytes: the stream has passed their boundaries, and the next
	 * new segment would seem to follow a gap.
	 */
	if ((__s32)(at->seq + at->payload_len - pkt->flow->edge) < 0)
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

/* Prepares the inspection of the payload. Returns 0 on success. */
static __always_inline int begin_inspection(struct packet *pkt)
{
	struct walking *at;

	pkt->scratch = own_scratch();
	pkt->early = 0;
	if (!pkt->scratch)
		return -1;
	at = &pkt->scratch->walking;
	at->seq = pkt->tcp->seq;
	at->payload_offset = pkt->tcp->payload_offset;
	at->payload_len = pkt->tcp->payload_len;
	at->default_group = pkt->service->default_group;
	at->left = MOST_WORK;
	at->allowed = WORK_ALLOWED;
	at->action = 0;
	at->in_early = 0;
	return 0;
}

/* Keeps a segment that arrived before the CONNECT of its connection. */
static __noinline enum outcome keep_eager(struct packet *pkt)
{
	enum outcome outcome;

	if (begin_inspection(pkt))
		return ABORT;
	outcome = keep_early(pkt);
	if (is_over_budget(pkt) && !pkt->flow->stream.blind)
		leave_unjudged(pkt);
	return outcome;
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

/* Judges the usual segment if its topic differs from the last one, or the routes have
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

/* Walks the MQTT packets of the segment, and of the early ones that follow it. */
static __always_inline enum outcome walk(struct packet *pkt)
{
	struct walking *at = &pkt->scratch->walking;
	struct flow *flow = pkt->flow;
	enum outcome outcome;
	enum walk_place place;
	__u32 offset = 0;

	if (flow->stream.blind && !back_in_step(pkt))
		return FORWARD;
	place = walk_begin(&flow->stream, at->seq, at->payload_len, &offset, &at->found);
	if (place == WALK_HOLE) {
		outcome = keep_early(pkt);
		if (outcome != FORWARD)
			return outcome;
		if (flow->stream.blind) {
			if (!back_in_step(pkt))
				return FORWARD;
			place = WALK_HERE;
		}
	}
	/* Each step is charged. */
	if (place == WALK_HERE || take_early(pkt))
		bpf_loop(MOST_WORK, walk_next, pkt, 0);
	if (at->action || flow->stream.blind)
		return FORWARD;
	if (place == WALK_HERE && !pkt->early && !is_walked(pkt)) {
		leave_unjudged(pkt);
		return FORWARD;
	}
	/* The broker must not read what is not judged yet. */
	if (is_behind(flow) && (__s32)(pkt->tcp->seq - flow->first_early) < 0)
		return drop(COUNT_WITHHELD);
	return FORWARD;
}

/* Judges the payload of a segment. Most repeat the topic of the one before: they change
 * nothing but the stream's place.
 */
static __always_inline enum outcome inspect(struct packet *pkt)
{
	enum outcome outcome = FORWARD;
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
		return ABORT;
	if (hash) {
		judge_usual(pkt, &publish, hash);
	} else {
		outcome = walk(pkt);
		if (is_over_budget(pkt) && !pkt->flow->stream.blind) {
			leave_unjudged(pkt);
			outcome = FORWARD;
		}
	}
	return pkt->scratch->walking.action ? end_connection(pkt) : outcome;
}
