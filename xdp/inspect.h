/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inspects the payload of a segment: which PUBLISHes it contains, and whether they belong
 * to the group of the connection.
 */
#pragma once

#include "xdp/leap.h"
#include "xdp/mispredict.h"
#include "xdp/syn_data.h"

/* Finds the packet boundaries of a blind stream again, at a segment that begins with a
 * PUBLISH of the topic that the flow published last. Other payload cannot look like that
 * by chance: 64 bits of a secret hash must agree.
 */
static __noinline int back_in_step(struct packet *pkt)
{
	struct walking *at = &pkt->scratch->walking;
	struct stream *stream = &pkt->flow->stream;
	struct topic_part part;
	__u64 window = 0;

	/* A stream that has cost too much rests first. */
	if (!pkt->flow->topic_hash || at->payload_len < MQTT_WINDOW || pkt->flow->spent)
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
	at->passed = 0;
	at->fin = pkt->tcp->flags & SEGMENT_FIN ? EARLY_FIN : 0;
	at->found.packet_offset = -1;
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

/* The state of a usual segment's flow: no bytes wait, and it has sent more than its
 * CONNECT.
 */
#define FLOW_UNUSUAL (FLOW_EARLY | FLOW_DOUBT | FLOW_FIN)

/* Whether the segment is a usual one: a PUBLISH that needs no walk. */
static __always_inline int find_usual(const struct packet *pkt,
				      struct usual_publish *publish)
{
	__u32 at = pkt->tcp->payload_offset, len = pkt->tcp->payload_len;
	const void *data = (void *)(long)pkt->ctx->data;
	const void *data_end = (void *)(long)pkt->ctx->data_end;
	const __u64 *window = data + (at & FRAME_MASK);
	const __u8 *properties;

	if (len < MQTT_WINDOW || (void *)(window + 1) > data_end ||
	    pkt->tcp->seq != pkt->flow->edge || pkt->tcp->flags & SEGMENT_FIN ||
	    (pkt->flow->flags & (FLOW_UNUSUAL | FLOW_PROVEN)) != FLOW_PROVEN ||
	    !is_usual_publish(&pkt->flow->stream, pkt->tcp->seq, len, *window, publish))
		return 0;
	if (!publish->properties)
		return 1;
	properties = data + ((at + publish->properties) & FRAME_MASK);
	return (void *)(properties + 1) <= data_end && !*properties;
}

/* Updates the flow for the usual segment. */
static __always_inline void take_usual(const struct packet *pkt)
{
	pkt->flow->edge += pkt->tcp->payload_len;
	pkt->flow->stream.next = pkt->flow->edge;
}

/* Judges the usual segment if its topic differs from the last one, or the routes have
 * changed.
 */
static __noinline void judge_usual(struct packet *pkt,
				   const struct usual_publish *publish, __u64 hash)
{
	struct walking *at = &pkt->scratch->walking;

	pkt->flow->acked = pkt->tcp->ack;
	pkt->flow->stream.topic = at->seq + publish->topic;
	at->found.packet_offset = 0;
	at->found.topic_offset = publish->topic;
	at->found.topic_len = publish->topic_len;
	at->hash = hash;
	at->apart = 0;
	at->verdict = MESSAGE_UNJUDGED;
	if (!take_topic(pkt->ctx, at->payload_offset + publish->topic,
			publish->topic_len))
		judge(pkt, publish->topic_len);
	count_message(pkt->flow, at->verdict, publish->qos);
	take_usual(pkt);
	if (at->action)
		pkt->flow->edge = at->seq; /* the broker does not get it */
}

/* Handles a segment that begins at the edge. It teaches and condemns nothing if it does
 * not look like the connection's, or if the packet boundaries are unknown.
 */
static __noinline void weigh(struct packet *pkt)
{
	struct flow *flow = pkt->flow;

	__u32 leap = ACK_LEAP;

	flow->flags &= ~FLOW_DOUBT;
	if (!has_facts(flow))
		take_facts(pkt, flow);
	if (flow->stream.blind && flow->flags & FLOW_LEAPT)
		leap = ACK_LEAP_AFTER;
	if (!is_credible(pkt, leap))
		lose_boundaries(flow);
	else if (flow->stream.blind)
		back_in_step(pkt);
	take_ack(pkt, flow);
}

/* Walks the MQTT packets of the segment, and of the early ones that follow it. */
static __always_inline enum outcome walk(struct packet *pkt)
{
	struct walking *at = &pkt->scratch->walking;
	struct flow *flow = pkt->flow;
	__u32 end = at->seq + at->payload_len, edge;
	__s32 ahead = (__s32)(at->seq - flow->edge);
	enum outcome outcome;

	if (ahead < 0 && flow->flags & FLOW_LEAPT && leap_back(pkt))
		ahead = 0;
	if (ahead > 0 && is_given_up(pkt)) {
		leap(pkt);
		ahead = 0;
	}
	if (ahead > 0) {
		outcome = keep_early(pkt);
		if (outcome != FORWARD)
			return outcome;
	}
	if (!ahead && at->payload_len)
		weigh(pkt);
	if (flow->stream.blind && at->payload_len)
		count(COUNT_BLIND);
	edge = flow->edge;
	at->passed = ahead > 0 || (ahead < 0 && (__s32)(end - edge) < (at->fin ? 0 : 1));
	/* Each step is charged. */
	bpf_loop(MOST_WORK, walk_next, pkt, 0);
	if (at->action) {
		flow->edge = edge; /* the broker does not get it */
		return FORWARD;
	}
	if (!at->passed && !pkt->early) {
		leave_unjudged(pkt);
		flow->edge = end;
	}
	/* The broker must not read bytes that are not judged yet. */
	if (is_behind(flow) && !flow->stream.blind &&
	    (__s32)(pkt->tcp->seq - flow->first_early) < 0)
		return drop(COUNT_WITHHELD);
	return FORWARD;
}

/* A repetition may end with new bytes. Whether it repeats the old bytes unchanged is
 * unknown, so the new ones wait until the broker has acknowledged the old ones, and then
 * begin a segment. Returns 0 on success.
 */
static __noinline int cut_new_bytes(struct packet *pkt)
{
	__u32 kept = pkt->flow->edge - pkt->tcp->seq;

	if (cut_behind(pkt->ctx, kept))
		return -1;
	count(COUNT_CUT);
	pkt->tcp->ip_len -= pkt->tcp->payload_len - kept;
	pkt->tcp->payload_len = kept;
	pkt->tcp->flags &= ~SEGMENT_FIN;
	return 0;
}

/* Whether the segment repeats bytes and goes on with new ones. */
static __always_inline int is_half_new(const struct packet *pkt)
{
	__s32 ahead = (__s32)(pkt->tcp->seq - pkt->flow->edge);

	return ahead < 0 && ahead + (__s32)pkt->tcp->payload_len > 0;
}

/* Updates the flow after the segment's FIN, or after data that follow an earlier FIN. */
static __noinline void settle_fin(const struct packet *pkt, __u32 before)
{
	struct flow *flow = pkt->flow;

	if (flow->flags & FLOW_FIN) {
		if (flow->state != FLOW_ESTABLISHED || flow->flags & FLOW_LEAPT)
			return;
		count(COUNT_CLOSED);
		leave_established(&pkt->key, flow, FLOW_CLOSING);
	} else if (before & FLOW_FIN && flow->state == FLOW_CLOSING) {
		count_tracked(&pkt->key, MAX_CONNECTIONS, clock_of(pkt));
		flow->state = FLOW_ESTABLISHED;
	}
}

/* A segment after that of the CONNECT means that the connection no longer gives way to
 * others. One that was opened without an answer, while the table was nearly full, always
 * does.
 */
static __always_inline void prove(const struct packet *pkt)
{
	struct flow *flow = pkt->flow;

	if (pkt->tcp->seq == flow->edge && pkt->tcp->seq != flow->isn + 1 &&
	    !(flow->flags & FLOW_DOUBTED))
		flow->flags |= FLOW_PROVEN;
}

/* Judges the payload of a segment. Most segments repeat the topic of the one before, and
 * only move the stream's place.
 */
static __always_inline enum outcome inspect(struct packet *pkt)
{
	__u32 before = pkt->flow->flags;
	enum outcome outcome = FORWARD;
	struct usual_publish publish;
	__u64 hash = 0;

	if (find_usual(pkt, &publish))
		hash = hash_topic(pkt->ctx, pkt->tcp->payload_offset + publish.topic,
				  publish.topic_len);
	if (hash && is_judged(pkt, hash)) {
		count_message(pkt->flow, verdict_of(pkt->flow), publish.qos);
		take_usual(pkt);
		return FORWARD;
	}
	if (pkt->tcp->payload_len)
		prove(pkt);
	if (is_half_new(pkt) && !pkt->flow->stream.blind && cut_new_bytes(pkt))
		return drop(COUNT_TRUNCATED);
	if (begin_inspection(pkt))
		return ABORT;
	if (hash && has_facts(pkt->flow) && is_credible(pkt, ACK_LEAP)) {
		judge_usual(pkt, &publish, hash);
	} else {
		outcome = walk(pkt);
		if (is_over_budget(pkt) && !pkt->flow->stream.blind) {
			leave_unjudged(pkt);
			outcome = FORWARD;
		}
	}
	if (pkt->scratch->walking.action)
		return end_connection(pkt);
	settle_fin(pkt, before);
	return outcome;
}
