/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way to upstream's Katran in the forwarder's slot. Katran knows a group by its VIP,
 * and accepts only plain Ethernet.
 */
#pragma once

#include "bpf/readdress.h"
#include "xdp/stage_maps.h"

/* Whether the forwarder is Katran. The daemon sets it before it loads the stage, so that
 * the verifier removes the branches of the other forwarder.
 */
const volatile __u32 behind_katran = 0;

/* Addresses a packet to the VIP of its group. TCP's checksum stays that of the service,
 * whose address the broker's decap restores. Global: it has its own stack, and is
 * verified by itself. Returns 0 on success, otherwise the counter of the problem.
 */
__noinline __u32 address_to_group(struct xdp_md *ctx, __u32 number)
{
	const struct group *group = bpf_map_lookup_elem(&groups, &number);
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	const __be16 *type = data + 2 * ETH_ALEN;
	struct iphdr *ip = data + ETH_HLEN;
	struct ipv6_header *ip6 = data + ETH_HLEN;

	if (!group)
		return COUNT_NO_REAL;
	if ((void *)(ip + 1) > data_end)
		return COUNT_TRUNCATED;
	if (*type == host_to_net16(ETH_P_IP)) {
		if (!is_ipv4(&group->vip))
			return COUNT_NO_REAL;
		readdress_ipv4(ip, group->vip.word[3]);
		return 0;
	}
	/* Katran would pass it to the stack with the VIP as its destination. */
	if (*type != host_to_net16(ETH_P_IPV6))
		return COUNT_VLAN;
	if ((void *)(ip6 + 1) > data_end)
		return COUNT_TRUNCATED;
	if (is_ipv4(&group->vip))
		return COUNT_NO_REAL;
	ip6->destination = group->vip;
	return 0;
}

/* Does so without a call for the usual packet: IPv4 without tags. Returns whether it was
 * one.
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
