/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For a broker host whose kernel has no ipip device: strips the outer header of
 * IPIP packets (RFC 2003) and passes the inner packet up. All other traffic
 * passes untouched.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bpf/parse.h"

SEC("xdp")
int xdp_decap(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data, link;
	struct iphdr *outer = (struct iphdr *)(eth + 1), *inner = outer + 1;

	if ((void *)(inner + 1) > data_end || eth->h_proto != host_to_net16(ETH_P_IP) ||
	    *(__u8 *)outer != IP_PLAIN || outer->protocol != IPPROTO_IPIP ||
	    (outer->frag_off & host_to_net16(IP_FRAGMENT_MASK)) || inner->version != 4)
		return XDP_PASS;

	link = *eth;
	if (bpf_xdp_adjust_head(ctx, sizeof(*outer)))
		return XDP_DROP;
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	eth = data;
	if ((void *)(eth + 1) > data_end)
		return XDP_DROP;
	*eth = link;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
