/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Walks the fields of the MQTT packets in a segment.
 *
 * A PUBLISH with the same topic as the one before makes no call. All that others need is
 * not inlined, because the stack is short: 512 bytes for a whole chain of calls.
 */
#pragma once

#include "xdp/gather.h"

/* The PUBLISH just found in the segment. Returns whether the walk is over. */
static __always_inline int look_at_topic(struct packet *pkt)
{
	struct walking *at = &pkt->scratch->walking;
	__u32 len = at->found.topic_len;

	count(COUNT_PUBLISH);
	at->hash = 0;
	if (at->found.topic_offset >= 0 && !at->found.alias)
		at->hash = hash_in_place(
			pkt->ctx, at->payload_offset + at->found.topic_offset, len);
	if (at->hash) {
		if (is_judged(pkt, at->hash) ||
		    take_topic(pkt->ctx, at->payload_offset + at->found.topic_offset,
			       len))
			return 0;
		at->apart = 0;
	} else {
		len = gather_topic(pkt, 0, at->seq, at->payload_len);
	}
	return len ? judge(pkt, len) : 0;
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

	if (left >= MQTT_WINDOW &&
	    (void *)(bytes + 1) <= (void *)(long)pkt->ctx->data_end) {
		*window = *bytes;
		return 0;
	}
	return load(pkt, 0, offset, window, left, MQTT_WINDOW);
}

/* Where the next packet begins is no longer known. */
static __always_inline void lose_boundaries(struct flow *flow)
{
	flow->stream.blind = 1;
	flow->flags &= ~FLOW_EARLY;
	flow->early = 0;
}

/* One field of the segment's MQTT packets. Returns whether the walk is over. */
static __always_inline int walk_field(struct packet *pkt)
{
	struct walking *at = &pkt->scratch->walking;
	struct stream *stream = &pkt->flow->stream;
	__u32 offset = stream_wants(stream) - at->seq, left = at->payload_len - offset;
	__u64 window = 0;

	if (offset >= at->payload_len || load_window(pkt, offset, left, &window))
		return 1;
	if (left > MQTT_WINDOW)
		left = MQTT_WINDOW;

	switch (walk_step(stream, at->seq, at->payload_len, window, left, &at->found)) {
	case FOUND_CUT:
		return 1;
	case FOUND_BAD:
		count(COUNT_MALFORMED);
		lose_boundaries(pkt->flow);
		return 1;
	case FOUND_PUBLISH:
		if (look_at_topic(pkt))
			return 1;
		break;
	case FOUND_NOTHING:
	case FOUND_OTHER:
		break;
	}
	return stream_wants(stream) - at->seq >= at->payload_len;
}

/* The same for bpf_loop(). */
static long walk_next(__u32 index, void *packet)
{
	return walk_field(packet);
}
