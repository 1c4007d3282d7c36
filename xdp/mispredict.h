/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keeps a mispredicted segment from the wrong broker: passes it, marked, to the TC probe.
 */
#pragma once

#include "xdp/judge.h"
#include "xdp/reply.h"

/* Puts a mark before the segment, which describes its connection to the probe. Returns 0
 * if the driver has no room for metadata.
 */
static __always_inline struct mark *put_mark(const struct packet *pkt)
{
	struct xdp_md *ctx = pkt->ctx;
	struct mark *mark;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*mark)))
		return 0;
	mark = (void *)(long)ctx->data_meta;
	if ((void *)(mark + 1) > (void *)(long)ctx->data)
		return 0;
	__builtin_memset(mark, 0, sizeof(*mark));
	mark->magic = MARK_MAGIC;
	mark->seq = pkt->tcp->seq;
	mark->real = pkt->flow->real;
	mark->from_group = pkt->flow->group;
	mark->service = pkt->key.service;
	mark->flags = EVENT_SEGMENT;
	return mark;
}

/* Sends the client a RST, although it may send more. */
static __always_inline enum outcome reply_with_rst(const struct packet *pkt)
{
	return turn_into_rst(pkt->ctx) ? DROP : REPLY;
}

/* The segment cannot reach the probe. Reports the topic and resets the client from here;
 * the bytes before the PUBLISH are lost.
 */
static __noinline enum outcome mend_without_probe(const struct packet *pkt)
{
	const struct walking *at = &pkt->scratch->walking;

	count(COUNT_NO_METADATA);
	if (!at->apart)
		report(pkt, at->action, at->action == ACTION_RESET ? EVENT_RESET_SENT : 0,
		       at->to_group, at->found.topic_len);
	return at->action == ACTION_RESET ? reply_with_rst(pkt) : DROP;
}

/* A PUBLISH of the segment has ended the walk, and ends the connection. */
static __noinline enum outcome end_connection(const struct packet *pkt)
{
	const struct walking *at = &pkt->scratch->walking;
	struct mark *mark;

	leave_established(&pkt->key, pkt->flow,
			  at->action == ACTION_RESET ? FLOW_CONDEMNED : FLOW_DROPPED);
	mark = put_mark(pkt);
	if (!mark)
		return mend_without_probe(pkt);
	mark->to_group = at->to_group;
	mark->action = at->action;
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
	return PASS_UP;
}
