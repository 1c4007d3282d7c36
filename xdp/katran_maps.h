/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Katran's map ABI, as far as the embedded forwarder speaks it, and the choice
 * of a real for a new flow.
 */
#pragma once

#include "bpf/maps.h"
#include "bpf/parse.h"

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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct gateway);
} ctl_array SEC(".maps");

/* Size: as many VIPs as `ch_rings`. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct vip_stats);
} stats SEC(".maps");

static __always_inline __u32 rotate(__u32 x, __u32 by)
{
	return x << by | x >> (32 - by);
}

/* The kernel's jhash_2words(): Bob Jenkins' lookup3 over two words. */
static __always_inline __u32 hash_2words(__u32 a, __u32 b, __u32 seed)
{
	__u32 c = seed + 0xdeadbeef + (2 << 2);

	a += c;
	b += c;
	c ^= b;
	c -= rotate(b, 14);
	a ^= c;
	a -= rotate(c, 11);
	b ^= a;
	b -= rotate(a, 25);
	c ^= b;
	c -= rotate(b, 16);
	a ^= c;
	a -= rotate(c, 4);
	b ^= a;
	b -= rotate(a, 14);
	c ^= b;
	c -= rotate(b, 24);
	return c;
}

/* The real that Katran would give to a new flow of this VIP, as an index into
 * `reals`; 0: none. `ports` is source and destination port as they stand in the
 * TCP header.
 */
static __always_inline __u32 pick_real(__u32 vip_num, __be32 client, __u32 ports)
{
	__u32 hash = hash_2words(client, ports, 512 * RING_SIZE);
	__u32 slot = vip_num * RING_SIZE + hash % RING_SIZE;
	__u32 *real = bpf_map_lookup_elem(&ch_rings, &slot);

	return real ? *real : 0;
}
