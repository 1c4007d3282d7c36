/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the mqtt stage knows: services, groups and routes (written by the
 * daemon), predictions, guards and half-open flows (written here). Sizes marked "limit"
 * are set by the daemon before load.
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

/* What the last packet to one address and port has found out. It is taken for true
 * until the tick of the kernel's clock is over, some milliseconds: most packets
 * then need neither the hash nor the clock, which together cost as much as the
 * flow look-up.
 */
struct recent {
	__u64 tick; /* jiffies */
	__u64 now_ns;
	struct service_key at;
	struct service service;
	__u32 found; /* whether it is a service */
	/* The packet itself. Here, not on the stack: so the verifier takes all kinds
	 * of packets for the same and follows the rest of the stage once.
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

/* Size: a limit. The least recently used client makes room for a new one. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct client_key);
	__type(value, struct prediction);
} predictions SEC(".maps");

/* Size: follows the limit of clients. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct address);
	__type(value, struct guard);
} guards SEC(".maps");

/* Size: a limit. A flood of SYNs evicts only what never went further. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct half_open_key);
	__type(value, struct flow);
} half_open SEC(".maps");

/* Size: that of `half_open`. The initial sequence number of the SYN that came last on a
 * port, for segments that come in front of their CONNECT.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct flow_key);
	__type(value, __u32);
} openings SEC(".maps");

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

/* Size: a limit. Topics that TCP has cut, and what topic aliases stand for. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct topic_key);
	__type(value, struct topic_text);
} topics SEC(".maps");

/* Size: a limit. Payloads that came ahead of a missing segment. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct early_key);
	__type(value, struct early_segment);
} early_segments SEC(".maps");

/* The walk over the MQTT packets of one segment: all that is not a pointer. */
struct walking {
	__u64 hash; /* of the topic just found */
	struct found found;
	__u32 seq;
	__u32 payload_offset; /* in the frame */
	__u32 payload_len;
	__u32 place; /* sequence number of an early segment, on the way to a place */
	__u16 default_group;
	__u16 to_group; /* of the mispredicted topic */
	__u8 action;	/* enum action once a PUBLISH ends the walk, else 0 */
	__u8 apart;	/* the topic just judged does not lie in this segment */
	__u8 in_early;	/* nor does the PUBLISH: it is in an early one */
};

/* The check of one topic, and its match against the shapes. */
struct matching {
	struct utf8_check utf8;
	struct topic_levels levels;
	__u64 route; /* key of the shape at hand */
	__u32 generation;
	__u32 len;   /* of the topic, bytes */
	__u32 group; /* the result; NO_GROUP so far */
	__u32 pad;
};

/* What is too large for the stack. The text lies right behind the record that
 * reports it, and can be written to `topics` as it lies, or, when it is a whole
 * payload, to `early_segments`.
 */
struct scratch {
	struct event event;
	__u64 topic[TOPIC_ROOM];
	struct {
		__u64 hash;
		__u32 seq;
		__u16 len;
		__u16 have;
	} text; /* as in struct topic_text */
	/* A piece of topic is loaded behind another one, in front of any check that
	 * the verifier would understand.
	 */
	__u8 spill[MAX_TOPIC];
	/* Of the look-up at hand, and what is written there. */
	struct topic_key topic_key;
	struct early_key early_key;
	struct client_key client_key;
	struct prediction prediction;
	struct walking walking;
	struct matching matching;
};

/* What can be loaded in place of the text, bytes. */
#define TEXT_ROOM (sizeof(struct topic_text) + MAX_TOPIC)

static_assert(__builtin_offsetof(struct scratch, spill) -
			      __builtin_offsetof(struct scratch, topic) ==
		      sizeof(struct topic_text),
	      "the text in the scratch is a struct topic_text");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline struct scratch *own_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
}

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
