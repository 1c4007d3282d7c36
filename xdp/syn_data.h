/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Removes data from a segment.
 *
 * This includes the data of a SYN (TCP Fast Open, RFC 7413):
 *
 * A SYN does not prove that the client is at its source address. So its data must teach
 * nothing, and once forwarded they could not be withheld any more. A server that gets no
 * data acknowledges only the SYN. The client then sends its data again after the
 * handshake (RFC 7413 §4.2.2), where they are judged.
 */
#pragma once

#include "xdp/frame.h"

/* Clears a flag of the TCP header. Returns 0 on success. */
static __always_inline long clear_flag(struct xdp_md *ctx, __u32 tcp_offset, __u8 flag)
{
	__u8 flags = 0;

	if (bpf_xdp_load_bytes(ctx, tcp_offset + 13, &flags, 1))
		return -1;
	flags &= ~flag;
	return bpf_xdp_store_bytes(ctx, tcp_offset + 13, &flags, 1);
}

/* Corrects the lengths and checksums of the headers in the frame, which has `kept` bytes
 * of payload left. Returns 0 on success.
 */
static __always_inline long mend_headers(struct xdp_md *ctx, struct frame *frame,
					 __u32 kept)
{
	__u32 ip_offset = frame->headers.ip_offset, tcp_offset, len, pseudo;
	__be16 check = 0;
	int sum;

	if (frame->headers.is_ipv6) {
		struct ipv6_header *ip = &frame->part.ipv6;

		tcp_offset = ip_offset + sizeof(*ip);
		len = frame->headers.tcp.payload_offset + kept - tcp_offset;
		if (bpf_xdp_load_bytes(ctx, ip_offset, ip, sizeof(*ip)))
			return -1;
		ip->payload_len = host_to_net16(len);
		pseudo = pseudo_sum6(ip, IPPROTO_TCP, len);
		if (bpf_xdp_store_bytes(ctx, ip_offset, ip, sizeof(*ip)))
			return -1;
	} else {
		struct iphdr *ip = &frame->part.ipv4;

		tcp_offset = ip_offset + sizeof(*ip);
		len = frame->headers.tcp.payload_offset + kept - tcp_offset;
		if (bpf_xdp_load_bytes(ctx, ip_offset, ip, sizeof(*ip)))
			return -1;
		ip->tot_len = host_to_net16(sizeof(*ip) + len);
		ip->check = 0;
		ip->check = fold_checksum(sum_words(ip, sizeof(*ip) / 2));
		pseudo = pseudo_sum4(ip, IPPROTO_TCP, len);
		if (bpf_xdp_store_bytes(ctx, ip_offset, ip, sizeof(*ip)))
			return -1;
	}
	if (kept && clear_flag(ctx, tcp_offset, SEGMENT_FIN))
		return -1;
	tcp_offset += __builtin_offsetof(struct tcphdr, check);
	if (bpf_xdp_store_bytes(ctx, tcp_offset, &check, sizeof(check)))
		return -1;
	sum = sum_of_frame(ctx, frame->headers.tcp.payload_offset + kept - len, len);
	if (sum < 0)
		return -1;
	check = fold_checksum(pseudo + (__u32)sum);
	return bpf_xdp_store_bytes(ctx, tcp_offset, &check, sizeof(check));
}

/* Keeps only `kept` bytes of payload in the TCP segment in the frame. If some are
 * removed, a FIN after them is removed, too. Returns 0 on success.
 */
__noinline int cut_behind(struct xdp_md *ctx, __u32 kept)
{
	struct frame *frame = own_frame();

	if (!frame || parse_frame(ctx) != PARSE_TCP ||
	    kept > frame->headers.tcp.payload_len ||
	    resize(ctx, frame->headers.tcp.payload_offset + kept) ||
	    mend_headers(ctx, frame, kept))
		return -1;
	return 0;
}

/* Removes the payload of the TCP segment in the frame. Returns 0 on success. */
static __always_inline int cut_payload(struct xdp_md *ctx)
{
	return cut_behind(ctx, 0);
}
