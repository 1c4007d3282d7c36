/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow table (struct flow_place of bpf/abi.h). A look-up in a hash of the kernel
 * costs four calls, as much as everything else that an ACK needs. A look-up in an array
 * is no call at all, so a hint is tried first, and a flow is looked up only if the hint
 * is wrong.
 *
 * Places are given out here and taken back by the daemon. In a full table a flow may give
 * way to a new one (give_way.h); no other flow is evicted.
 */
#pragma once

#include "bpf/maps.h"

/* Size: the limit, and place 0. */
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

/* Size: a hint for each flow of the limit. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
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
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} places_taken SEC(".maps");

/* All hints: HINTS_PER_ROW in each row; set before load. */
const volatile __u32 hints_in_all = 64 * HINTS_PER_ROW;

/* A key in the form in which usual packets hash and compare it, which takes half of the
 * instructions.
 */
struct key_words {
	__u64 low, high; /* of the client's address */
	__u32 ends;	 /* port and service */
};

/* `key` must be aligned to 8 bytes. */
static __always_inline struct key_words words_of(const struct flow_key *key)
{
	const void *at = __builtin_assume_aligned(key, 8);
	struct key_words words;

	__builtin_memcpy(&words.low, at, 8);
	__builtin_memcpy(&words.high, at + 8, 8);
	__builtin_memcpy(&words.ends, at + 16, 4);
	return words;
}

/* An attacker gains nothing from colliding hints: those packets are looked up. */
static __always_inline __u32 *hint_for(const struct key_words *words)
{
	__u64 mixed = (words->low * 0x9e3779b97f4a7c15ull ^ words->high) +
		      words->ends * 0xdb4f0b9175ae2165ull;
	__u64 hash = (mixed ^ mixed >> 32) * 0xd1b54a32d192ed03ull >> 32;
	__u32 number = hash * hints_in_all >> 32, index = number / HINTS_PER_ROW;
	struct hint_row *row = bpf_map_lookup_elem(&hints, &index);

	return row ? &row->place[number % HINTS_PER_ROW] : 0;
}

static __always_inline struct flow *flow_at(const __u32 *number)
{
	struct flow_place *place = bpf_map_lookup_elem(&flows, number);

	return place && place->flow.state ? &place->flow : 0;
}

/* The connection with that key, 0: it is not tracked. */
static __noinline struct flow *look_up_flow(const struct flow_key *key)
{
	const __u32 *number = bpf_map_lookup_elem(&places, key);

	return number ? flow_at(number) : 0;
}

/* Looks the flow up after a wrong hint, and corrects the hint. */
static __noinline struct flow *correct_hint(const struct flow_key *key, __u32 *hint)
{
	const __u32 *number = bpf_map_lookup_elem(&places, key);

	if (!number)
		return 0;
	*hint = *number;
	return flow_at(number);
}

/* Finds the flow of a usual packet. `key` must be aligned to 8 bytes. */
static __always_inline struct flow *find_tracked(const struct flow_key *key)
{
	struct key_words words = words_of(key), there;
	__u32 *hint = hint_for(&words);
	struct flow_place *place = hint ? bpf_map_lookup_elem(&flows, hint) : 0;

	if (!place)
		return look_up_flow(key);
	there = words_of(&place->key);
	if (there.low == words.low && there.high == words.high &&
	    there.ends == words.ends && place->flow.state)
		return &place->flow;
	return correct_hint(key, hint);
}

/* The place, if it was free and now belongs to the caller; otherwise 0. */
static __always_inline struct flow_place *claim_place(__u32 number)
{
	struct flow_place *place = bpf_map_lookup_elem(&flows, &number);

	if (!number || !place ||
	    __sync_val_compare_and_swap(&place->claim, PLACE_FREE, PLACE_TAKEN) !=
		    PLACE_FREE)
		return 0;
	return place;
}

/* Takes a place that was given back. A number may be on the stack twice, after the daemon
 * was killed: then the next one is taken.
 */
static __always_inline struct flow_place *take_used_place(__u32 *number)
{
	struct flow_place *place = 0;

	if (!bpf_map_pop_elem(&free_places, number))
		place = claim_place(*number);
	if (!place && *number && !bpf_map_pop_elem(&free_places, number))
		place = claim_place(*number);
	return place;
}

/* Takes a place that was never used. */
static __always_inline struct flow_place *take_new_place(__u32 *number)
{
	__u32 zero = 0;
	__u32 *taken = bpf_map_lookup_elem(&places_taken, &zero);

	if (!taken)
		return 0;
	*number = *taken + 1;
	if (!bpf_map_lookup_elem(&flows, number))
		return 0;
	*number = __sync_fetch_and_add(taken, 1) + 1;
	return claim_place(*number);
}

/* A place for a new flow with that key, which the caller must fill; 0: none is left. */
static __noinline struct flow *add_flow(const struct flow_key *key)
{
	__u32 number = 0;
	struct flow_place *place = take_used_place(&number);

	if (!place)
		place = take_new_place(&number);
	if (!place)
		return 0;
	if (bpf_map_update_elem(&places, key, &number, BPF_NOEXIST)) {
		place->claim = PLACE_FREE;
		bpf_map_push_elem(&free_places, &number, BPF_ANY);
		return 0;
	}
	place->key = *key;
	return &place->flow;
}
