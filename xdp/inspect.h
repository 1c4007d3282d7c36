/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Walks the MQTT packets of a segment's payload, and sends a mispredicted segment
 * up to the TC probe.
 */
#pragma once

#include "xdp/answer.h"
#include "xdp/judge.h"
#include "xdp/steering.h"

/* A mispredicted segment goes up to the TC probe, marked. */
static __noinline int pass_up(const struct walk *w)
{
	const struct walking *at = &w->scratch->walking;
	struct xdp_md *ctx = w->ctx;
	struct mark *mark;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*mark)))
		return -1;
	mark = (void *)(long)ctx->data_meta;
	if ((void *)(mark + 1) > (void *)(long)ctx->data)
		return -1;
	__builtin_memset(mark, 0, sizeof(*mark));
	mark->magic = MARK_MAGIC;
	mark->seq = at->seq;
	mark->real = w->flow->real;
	mark->from_group = w->flow->group;
	mark->to_group = at->to_group;
	mark->service = w->key->service;
	mark->topic_offset = at->found.topic_offset;
	mark->topic_len = at->found.topic_len;
	mark->action = at->action;
	mark->flags = EVENT_SEGMENT;
	if (at->found.packet_offset < 0)
		mark->flags |= EVENT_BEGAN_EARLIER;
	else
		mark->publish_offset = at->found.packet_offset;
	return XDP_PASS;
}

/* The driver has no metadata: the topic is reported and the client reset here;
 * what stood in front of the PUBLISH is lost.
 */
static __noinline int mend_without_probe(const struct walk *w)
{
	const struct walking *at = &w->scratch->walking;
	void *data = (void *)(long)w->ctx->data;
	struct packet pkt;

	count(COUNT_NO_METADATA);
	report(w, at->action, at->action == ACTION_RESET ? EVENT_RESET_SENT : 0,
	       at->to_group, at->found.topic_len);
	if (at->action != ACTION_RESET ||
	    parse_tcp4(data, (void *)(long)w->ctx->data_end, &pkt) != PARSE_TCP)
		return XDP_DROP;
	return answer_with_rst(w->ctx, &pkt);
}

/* Finds the way back into a stream whose packet boundaries were lost: a segment
 * that begins with a PUBLISH of the topic that the flow published before. Payload
 * bytes do not look like that by chance: 64 bits of a secret hash must agree.
 */
static __always_inline int back_in_step(struct walk *w)
{
	struct walking *at = &w->scratch->walking;
	__u64 window = 0;

	count(COUNT_BLIND);
	if (!w->flow->topic_hash || at->payload_len < MQTT_WINDOW)
		return 0;
	/* Repeated bytes lead back to a boundary that later ones, which nobody
	 * repeats, have passed: the next new segment would look like a hole.
	 */
	if ((__s32)(at->seq + at->payload_len - w->flow->end_seq) < 0)
		return 0;
	if (bpf_xdp_load_bytes(w->ctx, at->payload_offset, &window, MQTT_WINDOW))
		return 0;
	stream_begin(&at->stream, at->seq);
	if (walk_step(&at->stream, at->seq, 0, at->payload_len, window, MQTT_WINDOW,
		      &at->found) != FOUND_PUBLISH ||
	    hash_of_found(w) != w->flow->topic_hash)
		return 0;
	count(COUNT_RESYNCED);
	stream_begin(&at->stream, at->seq);
	return 1;
}

/* A segment in front of which bytes are missing is refused, so that the client
 * sends it again in order; not for ever.
 */
static __always_inline int refuse_hole(struct stream *stream)
{
	if (stream->blind)
		return 0;
	if (stream->holes >= MAX_HOLES) {
		stream->blind = 1;
		return 0;
	}
	stream->holes++;
	count(COUNT_HOLE);
	return 1;
}

/* Walks the MQTT packets of a segment's payload. Returns an XDP action when the
 * segment ends here, -1 when it is to be forwarded.
 */
static __always_inline int inspect(const struct steering *s, struct flow *flow)
{
	struct walk w = { s->ctx, &s->key, flow, s->set, own_scratch(), s->now_ns };
	struct walking *at;
	int verdict;

	if (!w.scratch)
		return XDP_ABORTED;
	at = &w.scratch->walking;
	at->stream = flow->stream;
	at->seq = s->pkt.seq;
	at->payload_offset = s->pkt.payload_offset;
	at->payload_len = s->pkt.payload_len;
	at->offset = 0;
	at->default_group = s->service->default_group;
	at->action = 0;

	if (flow->stream.blind) {
		if (!back_in_step(&w))
			return -1;
	} else {
		switch (walk_begin(&flow->stream, s->pkt.seq, s->pkt.payload_len,
				   &at->offset)) {
		case WALK_NOTHING:
			return -1;
		case WALK_HOLE:
			return refuse_hole(&flow->stream) ? XDP_DROP : -1;
		case WALK_HERE:
			break;
		}
	}

	at->stream.holes = 0;
	/* Most segments hold one packet: no loop for them. */
	if (!walk_packet(&w))
		bpf_loop(s->pkt.payload_len, walk_next, &w, 0);
	if (!at->action) {
		flow->stream = at->stream;
		return -1;
	}
	leave_established(&s->key, flow,
			  at->action == ACTION_RESET ? FLOW_CONDEMNED : FLOW_DROPPED);
	verdict = pass_up(&w);
	return verdict >= 0 ? verdict : mend_without_probe(&w);
}
