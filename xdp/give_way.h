/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Makes room in a full flow table: a connection that never went beyond its CONNECT gives
 * way to a new one. A forged connection is cheap up to there, so a flood of them replaces
 * only its own connections. All others stay.
 */
#pragma once

#include "xdp/clients.h"
#include "xdp/packet.h"

/* Number of places examined to make room for one connection. The one that has been silent
 * for longest gives way. If one flow in 50 may give way, the search fails in 8 of 100
 * cases.
 */
#define GIVE_WAY_LOOKS 128

struct room_search {
	__u64 now_ns;
	__u64 silent_ns; /* silence of the best one so far */
	__u32 place;	 /* the best one so far; 0: none */
	__u32 at;	 /* the next place to examine */
	__u32 taken;	 /* number of places that were ever used */
};

static long look_for_room(__u32 look, struct room_search *search)
{
	struct flow_place *place = bpf_map_lookup_elem(&flows, &search->at);
	__s64 silent_ns;

	if (place && search->at && place->flow.state &&
	    !(place->flow.flags & FLOW_PROVEN)) {
		/* Another CPU's clock may be a tick ahead. */
		silent_ns = search->now_ns - place->flow.seen_at_ns;
		if (silent_ns < 0)
			silent_ns = 0;
		if (!search->place || (__u64)silent_ns > search->silent_ns) {
			search->silent_ns = silent_ns;
			search->place = search->at;
		}
	}
	search->at++;
	if (search->at > search->taken)
		search->at = 1;
	return 0;
}

/* Forgets the connection at that place, in the same way as the daemon. The CPU that
 * removes the key from `places` owns the place. Returns whether that was this one.
 */
static __always_inline int forget_flow(__u32 number)
{
	struct flow_place *place = bpf_map_lookup_elem(&flows, &number);
	struct flow_key key = {};
	const __u32 *there;

	if (!place)
		return 0;
	key = place->key;
	there = bpf_map_lookup_elem(&places, &key);
	if (!there || *there != number || bpf_map_delete_elem(&places, &key))
		return 0;
	if (place->flow.state == FLOW_ESTABLISHED)
		release_connection(&key);
	place->flow.state = 0;
	__builtin_memset(&place->key, 0, sizeof(place->key));
	place->claim = PLACE_FREE;
	return bpf_map_push_elem(&free_places, &number, BPF_ANY) == 0;
}

/* Returns whether a place may be free now; another CPU may take it first. Starts at a
 * random place, so that nobody can arrange which connection gives way.
 */
static __noinline int make_room(__u64 now_ns)
{
	struct room_search search = { .now_ns = now_ns };
	__u32 zero = 0;
	const __u32 *taken = bpf_map_lookup_elem(&places_taken, &zero);

	if (!taken || !*taken)
		return 0;
	search.taken = *taken;
	search.at = bpf_get_prandom_u32() % search.taken + 1;
	bpf_loop(GIVE_WAY_LOOKS, look_for_room, &search, 0);
	if (!search.place || !forget_flow(search.place))
		return 0;
	count(COUNT_GAVE_WAY);
	return 1;
}
