/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets that are too long for the link once they have an outer header.
 */
#pragma once

#include "xdp/open.h"
#include "xdp/reply.h"

/* Whether a source is a single host. ICMP errors are sent to such hosts only (RFC 1122
 * §3.2.2, RFC 4443 §2.4).
 */
static __always_inline int is_one_host(const struct address *client)
{
	__u8 first = client->word[0] & 0xff, first4 = client->word[3] & 0xff;

	if (is_ipv4(client))
		return first4 != 0 && first4 != 127 && first4 < 224;
	return first != 0xff && (client->word[0] | client->word[1] | client->word[2]);
}

/* Tells the client, as the service, which MTU leaves room for the outer header: ICMP
 * "fragmentation needed" (RFC 792, RFC 1191 §4) or ICMPv6 "packet too big" (RFC 4443
 * §3.2). It quotes the packet as the client sent it. Returns 0 on success.
 */
__noinline int turn_into_too_big(struct xdp_md *ctx, __u32 mtu)
{
	const struct frame *frame = own_frame();
	struct reply *reply = own_reply();
	const struct headers *headers;
	struct icmp_reply *icmp;

	if (!frame || !reply)
		return -1;
	headers = &frame->headers;
	icmp = &reply->icmp;
	if (parse_frame(ctx) != PARSE_TCP || headers->tcp.flags & SEGMENT_RST ||
	    !is_one_host(&headers->client) ||
	    bpf_xdp_load_bytes(ctx, 0, &reply->link, 2 * ETH_ALEN) ||
	    reply->link.destination[0] & 1) /* a broadcast or multicast */
		return -1;
	icmp->client = headers->client;
	icmp->service = headers->service;
	icmp->ip_offset = headers->ip_offset;
	icmp->quote_offset = headers->ip_offset;
	icmp->is_ipv6 = headers->is_ipv6;
	icmp->error.mtu = host_to_net32(mtu);
	if (headers->is_ipv6) {
		icmp->error.type = ICMP6_TOO_BIG;
		icmp->error.code = 0;
		icmp->quote_len =
			headers->tcp.ip_len < QUOTED6 ? headers->tcp.ip_len : QUOTED6;
	} else {
		icmp->error.type = ICMP4_UNREACHABLE;
		icmp->error.code = ICMP4_FRAG_NEEDED;
		icmp->quote_len = QUOTED4;
	}
	__builtin_memcpy(icmp->destination, reply->link.source, ETH_ALEN);
	return turn_into_icmp(ctx);
}

/* The longest packet that fits into the link with the outer header of its real (RFC 2003,
 * RFC 2473).
 */
static __always_inline __u32 room_for_packet(const struct packet *pkt)
{
	const struct flow *flow = pkt->flow;
	__u32 number = flow ? flow->group : predicted_group(pkt), index = 0;
	const struct group *group;
	const struct real *real;

	if (number == NO_GROUP)
		number = pkt->service->default_group;
	if (flow)
		index = flow->real;
	group = find_group(number);
	if (!index && group)
		index = pick_real(group, &pkt->key.client, tcp_ports(pkt->tcp));
	if (group && group->outer_len)
		return pkt->set->link_mtu - group->outer_len;
	real = bpf_map_lookup_elem(&reals, &index);
	return pkt->set->link_mtu - (real && real->flags & REAL_IPV6
					     ? sizeof(struct ipv6_header)
					     : sizeof(struct iphdr));
}

/* Replies to a client whose packet is too long. Returns FORWARD if it is not. */
static __noinline enum outcome check_length(const struct packet *pkt)
{
	__u32 room = room_for_packet(pkt);

	if (pkt->tcp->ip_len <= room)
		return FORWARD;
	count(COUNT_TOO_BIG);
	return turn_into_too_big(pkt->ctx, room) ? DROP : REPLY;
}
