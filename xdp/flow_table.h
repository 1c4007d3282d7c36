/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow table (struct flow_place of bpf/abi.h). A look-up in a hash of the kernel's
 * costs four calls, as much as all else that an ACK needs. An array's is no call at all,
 * so the first look is where a hint says; only who is not there is looked up.
 *
 * Places are given here and taken back by the daemon: nothing evicts a live flow.
 */
#pragma once

#include "bpf/maps.h"
#include "bpf/parse.h"

/* Size: a limit, and place 0. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1025);
	__type(key, __u32);
	__type(value, struct flow_place);
} flows SEC(".maps");

/* Size: the limit. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct flow_key);
	__type(value, __u32);
} places SEC(".maps");

/* Size: `hint_rows`. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct hint_row);
} hints SEC(".maps");

/* Size: the limit. */
struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 1024);
	__type(value, __u32);
} free_places SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} places_taken SEC(".maps");

/* A power of two; set before load. */
const volatile __u32 hint_rows = 256;

/* Who makes hints collide has gained nothing: those packets are looked up. */
static __always_inline __u32 hash_for_hint(const struct flow_key *key)
{
	const __be32 *word = key->client.word;
	__u32 ends = key->port | (__u32)key->service << 16;

	return ((word[0] + 0x9e3779b97f4a7c15ull) * (word[1] + 0xd1b54a32d192ed03ull) +
		(word[2] + 0x8cb92ba72f3d8dd7ull) * (word[3] + 0xaef17502108ef2d9ull) +
		ends * 0xdb4f0b9175ae2165ull) >>
	       32;
}

static __always_inline __u32 *hint_for(const struct flow_key *key)
{
	__u32 hash = hash_for_hint(key);
	__u32 row = (hash / HINTS_PER_ROW) & (hint_rows - 1);
	struct hint_row *hints_there = bpf_map_lookup_elem(&hints, &row);

	return hints_there ? &hints_there->place[hash % HINTS_PER_ROW] : 0;
}

static __always_inline int same_flow(const struct flow_key *left,
				     const struct flow_key *right)
{
	return same_address(&left->client, &right->client) && left->port == right->port &&
	       left->service == right->service;
}

/* The connection of that key, 0: it is not tracked. */
static __noinline struct flow *look_up_flow(const struct flow_key *key)
{
	__u32 *hint = hint_for(key);
	const __u32 *number = bpf_map_lookup_elem(&places, key);
	struct flow_place *place;

	if (!number)
		return 0;
	place = bpf_map_lookup_elem(&flows, number);
	if (!place || !place->flow.state)
		return 0;
	if (hint)
		*hint = *number;
	return &place->flow;
}

/* The same for the way of most packets. */
static __always_inline struct flow *find_tracked(const struct flow_key *key)
{
	const __u32 *hint = hint_for(key);
	struct flow_place *place = hint ? bpf_map_lookup_elem(&flows, hint) : 0;

	if (place && same_flow(&place->key, key) && place->flow.state)
		return &place->flow;
	return look_up_flow(key);
}

/* A free place's number, 0: there is none. */
static __always_inline __u32 take_place(void)
{
	__u32 zero = 0, number = 0;
	__u32 *taken;

	if (bpf_map_pop_elem(&free_places, &number) == 0)
		return number;
	taken = bpf_map_lookup_elem(&places_taken, &zero);
	if (!taken)
		return 0;
	number = *taken + 1;
	if (!bpf_map_lookup_elem(&flows, &number))
		return 0;
	return __sync_fetch_and_add(taken, 1) + 1;
}

/* A place for a new flow of that key, of which the caller writes all; 0: none is left. */
static __noinline struct flow *add_flow(const struct flow_key *key)
{
	__u32 number = take_place();
	struct flow_place *place = bpf_map_lookup_elem(&flows, &number);

	if (!number || !place)
		return 0;
	if (bpf_map_update_elem(&places, key, &number, BPF_NOEXIST)) {
		bpf_map_push_elem(&free_places, &number, BPF_ANY);
		return 0;
	}
	place->key = *key;
	return &place->flow;
}
