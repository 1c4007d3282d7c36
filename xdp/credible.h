/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether a segment can belong to its connection, judged by facts that a blind sender
 * does not know: the client's acknowledgement number, and whether its segments have
 * timestamps.
 */
#pragma once

#include "xdp/frame.h"
#include "xdp/packet.h"

/* Largest difference, in bytes, between a segment's acknowledgement number and the last
 * one at the edge. A segment at the edge has an exact sequence number, so it may follow
 * the longest window. One ahead of the edge may not: it is dropped, and its client
 * repeats it at the edge. One that is to bring a stream back in step after its edge has
 * leapt has no exact number at all.
 */
#define ACK_LEAP       (1 << 26)
#define ACK_LEAP_AHEAD (1 << 18)
#define ACK_LEAP_AFTER (1 << 12)

#define MAX_OPTIONS_LEN 40 /* bytes, in a TCP header */
#define OPTION_END	0  /* RFC 9293 §3.2 */
#define OPTION_NOP	1
#define OPTION_STAMPS	8 /* RFC 7323 §3.2 */
#define STAMPS_LEN	10
/* Two NOPs, then the option's kind and length: the form that nearly all stacks send. */
#define USUAL_STAMPS host_to_net32(0x0101080a)

/* The offset of the timestamps in `len` bytes of TCP options; negative: there are none.
 */
static __always_inline int find_stamps(const __u8 *options, __u32 len)
{
	__u32 at = 0;

	for (int i = 0; i < MAX_OPTIONS_LEN / 2 && at + 1 < len; i++) {
		__u8 kind = options[at & 63], size = options[(at + 1) & 63];

		if (kind == OPTION_STAMPS)
			return size == STAMPS_LEN && at + size <= len ? (int)at : -1;
		if (kind == OPTION_END || (kind != OPTION_NOP && size < 2))
			return -1;
		at += kind == OPTION_NOP ? 1 : size;
	}
	return -1;
}

/* FLOW_STAMPED and FLOW_ECHOED for a segment with `len` bytes of options at `offset`.
 * Verified on its own.
 */
__noinline __u32 stamps_in_options(struct xdp_md *ctx, __u32 offset, __u32 len)
{
	struct frame *frame = own_frame();
	__u32 last = len - 1, echo;
	__u8 *options;
	int at = 2;

	FORGET(last);
	if (!frame || last >= MAX_OPTIONS_LEN)
		return 0;
	options = (__u8 *)frame->part.chunk;
	if (bpf_xdp_load_bytes(ctx, offset, options, last + 1))
		return 0;
	if (len < 2 + STAMPS_LEN || frame->part.chunk[0] != USUAL_STAMPS)
		at = find_stamps(options, len);
	if (at < 0)
		return 0;
	/* After the kind, the length and the sender's own timestamp. */
	__builtin_memcpy(&echo, options + ((at + 6) & 63), sizeof(echo));
	return echo ? FLOW_STAMPED | FLOW_ECHOED : FLOW_STAMPED;
}

/* The same flags for the present segment. */
static __always_inline __u32 stamps_of(const struct packet *pkt)
{
	__u32 headers = sizeof(struct tcphdr) + (is_ipv4(&pkt->key.client)
							 ? sizeof(struct iphdr)
							 : sizeof(struct ipv6_header));
	__u32 len = pkt->tcp->ip_len - pkt->tcp->payload_len - headers;

	return stamps_in_options(pkt->ctx, pkt->tcp->payload_offset - len, len);
}

/* Takes acknowledgement and timestamps of the flow from this segment. */
static __noinline void take_facts(const struct packet *pkt, struct flow *flow)
{
	flow->connect_ack = pkt->tcp->ack;
	flow->acked = pkt->tcp->ack;
	flow->flags &= ~(FLOW_STAMPED | FLOW_ECHOED);
	flow->flags |= stamps_of(pkt);
}

/* A flow of ABI 4 has none until its next payload, and one flow in 2^32 never has. */
static __always_inline int has_facts(const struct flow *flow)
{
	return flow->connect_ack != 0;
}

/* Notes what a segment at the edge acknowledges. One that acknowledges far more, or less,
 * may be forged, and must not make the next one credible. A blind stream that has leapt
 * keeps the earlier number, because that brings it back in step.
 */
static __always_inline void take_ack(const struct packet *pkt, struct flow *flow)
{
	if (pkt->tcp->ack - flow->acked <= ACK_LEAP &&
	    !(flow->flags & FLOW_LEAPT && flow->stream.blind))
		flow->acked = pkt->tcp->ack;
}

/* Whether the segment can be the flow's: its acknowledgement number differs by at most
 * `leap` bytes from the last one, and is not below that of the CONNECT.
 */
static __noinline int is_credible(const struct packet *pkt, __u32 leap)
{
	const struct flow *flow = pkt->flow;
	__u32 back = flow->acked - flow->connect_ack;

	if (!(pkt->tcp->flags & SEGMENT_ACK))
		return 0;
	if (!has_facts(flow))
		return 1;
	if (back > leap)
		back = leap;
	return pkt->tcp->ack - flow->acked + back <= back + leap &&
	       stamps_of(pkt) == (flow->flags & (FLOW_STAMPED | FLOW_ECHOED));
}
