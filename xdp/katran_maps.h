/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Katran's map ABI, as far as the embedded forwarder uses it, and the choice of a real
 * for a new flow.
 */
#pragma once

#include "bpf/flow_hash.h"
#include "bpf/maps.h"
#include "bpf/settings.h"

/* Size: RING_SIZE per VIP; the number of VIPs is a limit. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RING_SIZE);
	__type(key, __u32);
	__type(value, __u32);
} ch_rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct real);
} reals SEC(".maps");

/* Size: the number of VIPs in `ch_rings`. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct vip_stats);
} stats SEC(".maps");

/* The real that Katran would give to a new flow of this group's VIP, as an index into
 * `reals`; 0: none. Ports as in flow_hash().
 */
static __always_inline __u32 pick_real(const struct group *group,
				       const struct address *client, __u32 ports)
{
	__u32 slot, *real;

	if (group->affinity == AFFINITY_CLIENT)
		ports = without_client_port(ports);
	slot = group->vip_num * RING_SIZE + flow_hash(client, ports) % RING_SIZE;
	real = bpf_map_lookup_elem(&ch_rings, &slot);
	return real ? *real : 0;
}
