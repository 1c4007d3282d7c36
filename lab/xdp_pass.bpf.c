// SPDX-License-Identifier: GPL-2.0-only
/*
 * Passes every packet. Loaded on the gateway's end of the load balancer's link:
 * on veth, XDP_TX works only towards a peer that runs an XDP program itself
 * (drivers/net/veth.c: its receive queues need NAPI and an XDP queue).
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int xdp_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
