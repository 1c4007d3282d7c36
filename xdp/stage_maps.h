/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps of the mqtt stage, except predictions and the flow table. The daemon writes
 * services, groups, routes and keys; the stage writes the rest. The daemon sets each size
 * that is a limit before it loads the stage.
 */
#pragma once

#include "bpf/maps.h"
#include "bpf/mqtt.h"
#include "bpf/settings.h"
#include "bpf/topic.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct service_key);
	__type(value, struct service);
} services SEC(".maps");

/* Size: a limit. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct group);
} groups SEC(".maps");

/* Size: twice the limit, for two generations. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct route);
} routes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct shape_set);
} shape_sets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct topic_keys);
} topic_keys SEC(".maps");

/* Facts that the last packet to an address and port found out. They are valid until the
 * kernel's clock ticks, some milliseconds. So most packets need neither the look-up nor
 * the clock, which together cost as much as the look-up of the flow.
 */
struct recent {
	__u64 tick; /* jiffies */
	__u64 now_ns;
	struct service_key at;
	struct service service;
	__u32 found; /* whether it is a service */
	/* The present packet. It is not on the stack, so that all kinds of packets look
	 * the same to the verifier, which then follows the rest of the stage once.
	 */
	struct segment tcp;
};

#define RECENTS 16

/* Per CPU, by address and port. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RECENTS);
	__type(key, __u32);
	__type(value, struct recent);
} recents SEC(".maps");

/* struct reset_budget of bpf/abi.h, with the kernel's name for its lock. */
struct locked_budget {
	struct bpf_spin_lock lock;
	__u32 tokens;
	__u64 filled_at_ns;
};
static_assert(sizeof(struct locked_budget) == sizeof(struct reset_budget), "ABI");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct locked_budget);
} reset_budget SEC(".maps");

/* More than three times the default of resets_per_second, because each reset uses the
 * entries of three networks.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct network);
	__type(value, struct reset_share);
} reset_shares SEC(".maps");

/* Size: a limit. Topics that TCP has cut, and topics of topic aliases. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct topic_key);
	__type(value, struct topic_text);
} topics SEC(".maps");

/* Size: a limit. Payloads that overtook a missing segment. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct early_key);
	__type(value, struct early_segment);
} early_segments SEC(".maps");

/* Size: that of `early_segments`. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct address);
	__type(value, struct early_share);
} early_shares SEC(".maps");

static __always_inline const struct topic_keys *the_keys(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&topic_keys, &zero);
}

static __always_inline struct group *find_group(__u32 number)
{
	struct group *group = bpf_map_lookup_elem(&groups, &number);

	return group && group->in_use ? group : 0;
}
