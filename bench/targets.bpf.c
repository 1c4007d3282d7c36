/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Programs to compare the chain with: an empty one, and the minimum work per packet of
 * any balancer with a flow table.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bench/floor.h"
#include "bpf/parse.h"

/* Entries are set before load. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct floor_key);
	__type(value, __u64);
} floor_flows SEC(".maps");

SEC("xdp")
int bench_empty(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/* Ethernet, IP and TCP, and one look-up of the connection. */
SEC("xdp")
int bench_floor(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *tcp = (void *)(ip + 1);
	struct floor_key key = {};

	if ((void *)(tcp + 1) > (void *)(long)ctx->data_end ||
	    eth->h_proto != host_to_net16(ETH_P_IP) || ip->ihl != 5 ||
	    ip->protocol != IPPROTO_TCP)
		return XDP_PASS;
	key.client = ip->saddr;
	key.service = ip->daddr;
	key.client_port = tcp->source;
	key.service_port = tcp->dest;
	return bpf_map_lookup_elem(&floor_flows, &key) ? XDP_TX : XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
