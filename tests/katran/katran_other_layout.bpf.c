/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Looks like Katran's balancer, but its VIPs have another layout, so it must be refused.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__uint(key_size, 20);
	__uint(value_size, 12);
} vip_map SEC(".maps");

SEC("xdp")
int other_layout(struct xdp_md *ctx)
{
	char key[20] = {};

	return bpf_map_lookup_elem(&vip_map, key) ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
