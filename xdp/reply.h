/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Replies of the stage itself to a client: a RST, or an ICMP error. Each is made from the
 * received frame, whose VLAN tags stay.
 */
#pragma once

#include "xdp/frame.h"

/* An Ethernet header with all tags that it may have. */
struct link {
	__u8 destination[ETH_ALEN], source[ETH_ALEN];
	__u8 rest[2 + VLAN_TAGS * VLAN_TAG_LEN];
};

/* An ICMP error to a client, sent as the service, about a packet that is in the frame. */
struct icmp_reply {
	struct address client, service;
	struct icmp_error error;
	__u32 ip_offset;    /* of the frame's IP header, and of the reply's */
	__u32 quote_offset; /* in the frame */
	__u32 quote_len;    /* bytes */
	__u8 destination[ETH_ALEN];
	__u8 is_ipv6;
	__u8 pad;
};

/* A reply under construction. In a map, because the stack is small. */
struct reply {
	struct icmp_reply icmp;
	struct link link;
	struct rst rst;
	union {
		struct ip_tcp rst4;
		struct ipv6_tcp rst6;
		struct ip_icmp icmp4;
		struct ipv6_icmp icmp6;
	} out;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct reply);
} replies SEC(".maps");

static __always_inline struct reply *own_reply(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&replies, &zero);
}

static __always_inline void swap_ends(struct link *link)
{
	__u8 mac[ETH_ALEN];

	__builtin_memcpy(mac, link->source, ETH_ALEN);
	__builtin_memcpy(link->source, link->destination, ETH_ALEN);
	__builtin_memcpy(link->destination, mac, ETH_ALEN);
}

/* Turns a segment into a RST for its sender, with the number that it acknowledges; with
 * `question`, into a SYN-ACK that acknowledges that number. Returns 0 on success.
 */
static __always_inline int turn_into_reply(struct xdp_md *ctx, const __be32 *question)
{
	const struct frame *frame = own_frame();
	struct reply *reply = own_reply();
	__u32 ip_offset;
	long failed;

	if (!frame || !reply || parse_frame(ctx) != PARSE_TCP ||
	    bpf_xdp_load_bytes(ctx, 0, &reply->link, 2 * ETH_ALEN))
		return -1;
	ip_offset = frame->headers.ip_offset;
	reply->rst = rst_for(&frame->headers);
	if (frame->headers.is_ipv6) {
		write_tcp6(&reply->out.rst6, &reply->rst, question);
		failed = resize(ctx, ip_offset + sizeof(reply->out.rst6)) ||
			 bpf_xdp_store_bytes(ctx, ip_offset, &reply->out.rst6,
					     sizeof(reply->out.rst6));
	} else {
		write_tcp4(&reply->out.rst4, &reply->rst, question);
		failed = resize(ctx, ip_offset + sizeof(reply->out.rst4)) ||
			 bpf_xdp_store_bytes(ctx, ip_offset, &reply->out.rst4,
					     sizeof(reply->out.rst4));
	}
	swap_ends(&reply->link);
	return failed || bpf_xdp_store_bytes(ctx, 0, &reply->link, 2 * ETH_ALEN) ? -1 : 0;
}

__noinline int turn_into_rst(struct xdp_md *ctx)
{
	return turn_into_reply(ctx, 0);
}

/* Turns a SYN into a SYN-ACK for its sender that acknowledges `number`. */
__noinline int turn_into_question(struct xdp_md *ctx, __u32 number)
{
	const __be32 question = host_to_net32(number);

	return turn_into_reply(ctx, &question);
}

/* Turns the frame into the ICMP error in own_reply(). Returns 0 on success. */
__noinline int turn_into_icmp(struct xdp_md *ctx)
{
	struct reply *reply = own_reply();
	struct icmp_reply *icmp;
	__u32 head_len;
	__be16 type;
	long failed;
	int sum;

	if (!reply)
		return -1;
	icmp = &reply->icmp;
	type = icmp->is_ipv6 ? host_to_net16(ETH_P_IPV6) : host_to_net16(ETH_P_IP);
	head_len = icmp->is_ipv6 ? sizeof(reply->out.icmp6) : sizeof(reply->out.icmp4);
	sum = sum_of_frame(ctx, icmp->quote_offset, icmp->quote_len);
	/* `link` may contain the beginning of the IP header, which is overwritten below.
	 */
	if (sum < 0 || bpf_xdp_load_bytes(ctx, 0, &reply->link, sizeof(reply->link)) ||
	    resize(ctx, icmp->quote_offset + icmp->quote_len) ||
	    bpf_xdp_adjust_head(ctx, (int)icmp->quote_offset -
					     (int)(icmp->ip_offset + head_len)))
		return -1;
	__builtin_memcpy(reply->link.source, reply->link.destination, ETH_ALEN);
	__builtin_memcpy(reply->link.destination, icmp->destination, ETH_ALEN);
	failed = bpf_xdp_store_bytes(ctx, 0, &reply->link, sizeof(reply->link)) |
		 bpf_xdp_store_bytes(ctx, icmp->ip_offset - sizeof(type), &type,
				     sizeof(type));
	if (icmp->is_ipv6) {
		write_icmp6(&reply->out.icmp6, &icmp->service, &icmp->client, icmp->error,
			    icmp->quote_len, sum);
		failed |= bpf_xdp_store_bytes(ctx, icmp->ip_offset, &reply->out.icmp6,
					      sizeof(reply->out.icmp6));
	} else {
		write_icmp4(&reply->out.icmp4, icmp->service.word[3],
			    icmp->client.word[3], icmp->error, icmp->quote_len, sum);
		failed |= bpf_xdp_store_bytes(ctx, icmp->ip_offset, &reply->out.icmp4,
					      sizeof(reply->out.icmp4));
	}
	return failed ? -1 : 0;
}
