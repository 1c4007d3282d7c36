/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Walks the fields of the MQTT packets in a segment.
 *
 * A PUBLISH with the same topic as the one before makes no call. Code for the other cases
 * is not inlined, because the stack is small: 512 bytes for a whole chain of calls.
 */
#pragma once

#include "xdp/gather.h"

/* Judges the PUBLISH just found. Returns whether the walk is over. */
static __always_inline int judge_publish(struct packet *pkt)
{
	struct walking *at = &pkt->scratch->walking;
	__u32 len = at->found.topic_len;

	at->hash = 0;
	if (at->found.topic_offset >= 0 && !at->found.alias && !at->in_early) {
		charge(pkt->scratch, WORK_HASH + len / 64 * WORK_HASH);
		at->hash = hash_in_place(
			pkt->ctx, at->payload_offset + at->found.topic_offset, len);
	}
	if (at->hash) {
		if (take_verdict(pkt, at->hash) ||
		    take_topic(pkt->ctx, at->payload_offset + at->found.topic_offset,
			       len))
			return 0;
		at->apart = 0;
	} else {
		len = gather_topic(pkt);
	}
	return len ? judge(pkt, len) : 0;
}

/* Judges and counts the PUBLISH just found. Returns whether the walk is over. */
static __always_inline int take_publish(struct packet *pkt)
{
	struct walking *at = &pkt->scratch->walking;
	int is_over;

	at->verdict = MESSAGE_UNJUDGED;
	is_over = judge_publish(pkt);
	count_message(pkt->flow, at->verdict, stream_qos(&pkt->flow->stream));
	return is_over;
}

/* Loads the payload bytes at `offset`: MQTT_WINDOW of the `left` ones, or all of them.
 * The first is in the lowest byte. Returns 0 on success.
 */
static __always_inline long load_window(const struct packet *pkt, __u32 offset,
					__u32 left, __u64 *window)
{
	const struct walking *at = &pkt->scratch->walking;
	const __u64 *bytes = (void *)(long)pkt->ctx->data +
			     ((at->payload_offset + offset) & FRAME_MASK);

	if (pkt->early) {
		FORGET(offset);
		if (offset >= EARLY_BYTES)
			return -1;
		*window = *(const __u64 *)(pkt->early->bytes + offset);
		return 0;
	}
	if (left >= MQTT_WINDOW &&
	    (void *)(bytes + 1) <= (void *)(long)pkt->ctx->data_end) {
		*window = *bytes;
		return 0;
	}
	return load(pkt, offset, window, left, MQTT_WINDOW);
}

/* Call this when the place of the next packet is not known any more. */
static __always_inline void lose_boundaries(struct flow *flow)
{
	flow->stream.blind = 1;
	flow->open_qos2 = QOS2_UNKNOWN;
}

static __always_inline void forget_early(struct flow *flow)
{
	flow->flags &= ~FLOW_EARLY;
	flow->early = 0;
}

/* Call this when the stream costs too much. The daemon is told once in a flow's life. */
static __noinline void leave_unjudged(struct packet *pkt)
{
	struct event *event = &pkt->scratch->event;
	struct flow *flow = pkt->flow;

	count(COUNT_UNJUDGED);
	lose_boundaries(flow);
	forget_early(flow);
	if (flow->flags & FLOW_COSTLY || flow->state != FLOW_ESTABLISHED)
		return;
	fill_event(event, pkt, ACTION_UNJUDGED, 0, flow->group, 0);
	event->options_len = 0;
	if (bpf_ringbuf_output(&events, event, sizeof(*event), 0))
		count(COUNT_EVENT_LOST);
	else
		flow->flags |= FLOW_COSTLY;
}

#define PUBLISH_QOS 0x06 /* flags of a PUBLISH (MQTT 5.0 §3.3.1) */
#define PUBLISH_DUP 0x08

/* Counts the messages of QoS 2 that the client has sent and not yet released (MQTT 5.0
 * §4.3.3). `header` is the first byte of the packet whose header was just read.
 *
 * Repetitions of an earlier connection's messages come before new messages (§4.6) and
 * count. A later repetition was counted when it was new.
 */
static __always_inline void count_qos2(struct flow *flow, __u8 header)
{
	__u8 type = header & 0xf0;

	if (flow->open_qos2 == QOS2_UNKNOWN)
		return;
	if (type == MQTT_PUBREL << 4 && flow->open_qos2)
		flow->open_qos2--;
	if (type != MQTT_PUBLISH << 4 || (header & PUBLISH_QOS) != 2 << 1)
		return;
	if (!(header & PUBLISH_DUP))
		flow->flags |= FLOW_QOS2;
	else if (flow->flags & FLOW_QOS2)
		return;
	flow->open_qos2++;
}

/* Whether all bytes before `end` have been read. */
static __always_inline int has_no_news(const struct stream *stream, __u32 end)
{
	return stream->blind || (__s32)(stream_wants(stream) - end) >= 0;
}

/* Whether the walk has reached the end of the segment. */
static __always_inline int is_walked(const struct packet *pkt)
{
	const struct walking *at = &pkt->scratch->walking;

	return has_no_news(&pkt->flow->stream, at->seq + at->payload_len);
}

/* Whether the first early segment is ahead of the edge: bytes before it are missing. */
static __always_inline int is_ahead(const struct flow *flow)
{
	return (__s32)(flow->first_early - flow->edge) > 0;
}

/* Reads one field of the segment's MQTT packets. Returns whether the walk is over. */
static __always_inline int walk_field(struct packet *pkt)
{
	struct walking *at = &pkt->scratch->walking;
	struct stream *stream = &pkt->flow->stream;
	__u32 offset = stream_wants(stream) - at->seq, left = at->payload_len - offset;
	__u8 phase = stream->phase;
	enum walk_find find;
	__u64 window = 0;

	charge(pkt->scratch, WORK_FIELD);
	if (load_window(pkt, offset, left, &window))
		return 1;
	if (left > MQTT_WINDOW)
		left = MQTT_WINDOW;

	find = walk_step(stream, at->seq, at->payload_len, window, left, &at->found);
	if (phase == STREAM_HEADER && find != FOUND_CUT && find != FOUND_BAD)
		count_qos2(pkt->flow, at->found.first_byte);
	switch (find) {
	case FOUND_BAD:
		count(COUNT_MALFORMED);
		lose_boundaries(pkt->flow);
		return 0;
	case FOUND_PUBLISH:
		return take_publish(pkt);
	case FOUND_CONNECT:
		pkt->flow->keep_alive = at->found.keep_alive;
		break;
	case FOUND_NOTHING:
	case FOUND_OTHER:
	case FOUND_CUT:
		break;
	}
	return 0;
}
