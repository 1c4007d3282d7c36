/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way to upstream's Katran in the forwarder's slot, which knows a group by its VIP
 * and takes plain Ethernet only.
 */
#pragma once

#include "bpf/readdress.h"
#include "xdp/packet.h"

/* Set by the daemon before load, so that the verifier takes the branches of the other
 * forwarder out: whether it is Katran's.
 */
const volatile __u32 behind_katran = 0;

/* Addresses a packet to the VIP of its group. TCP's checksum stays right for the service,
 * whose address the broker's decap puts back. Global, for a stack of its own and a look
 * of the verifier's of its own. Returns 0, or XDP_DROP when that is counted.
 */
__noinline int address_to_group(struct xdp_md *ctx, __u32 number)
{
	const struct group *group = bpf_map_lookup_elem(&groups, &number);
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	const __be16 *type = data + 2 * ETH_ALEN;
	struct iphdr *ip = data + ETH_HLEN;
	struct ipv6_header *ip6 = data + ETH_HLEN;

	if (!group)
		return drop(COUNT_NO_REAL);
	if ((void *)(ip + 1) > data_end)
		return drop(COUNT_TRUNCATED);
	if (*type == host_to_net16(ETH_P_IP)) {
		if (!is_ipv4(&group->vip))
			return drop(COUNT_NO_REAL);
		readdress_ipv4(ip, group->vip.word[3]);
		return 0;
	}
	/* Katran would pass it up, the VIP in it. */
	if (*type != host_to_net16(ETH_P_IPV6))
		return drop(COUNT_VLAN);
	if ((void *)(ip6 + 1) > data_end)
		return drop(COUNT_TRUNCATED);
	if (is_ipv4(&group->vip))
		return drop(COUNT_NO_REAL);
	ip6->destination = group->vip;
	return 0;
}

/* The same for the usual packet, IPv4 without tags, without a call. Returns whether it is
 * one and was addressed.
 */
static __always_inline int address_usual(struct xdp_md *ctx, __u32 number)
{
	const struct group *group = bpf_map_lookup_elem(&groups, &number);
	void *data = (void *)(long)ctx->data;
	const __be16 *type = data + 2 * ETH_ALEN;
	struct iphdr *ip = data + ETH_HLEN;

	if (!group || (void *)(ip + 1) > (void *)(long)ctx->data_end ||
	    *type != host_to_net16(ETH_P_IP) || !is_ipv4(&group->vip))
		return 0;
	readdress_ipv4(ip, group->vip.word[3]);
	return 1;
}
