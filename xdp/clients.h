/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The table of clients (bpf/clients.h) in the mqtt stage: where a client's entry lies,
 * and its tracked connections.
 */
#pragma once

#include "bpf/clients.h"
#include "xdp/scratch.h"
#include "xdp/stage_maps.h"

/* Size: table_sets() of a limit. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct table_set);
} predictions SEC(".maps");

/* Its size in sets; set before load. */
const volatile __u32 client_sets = 2;

/* The sets in which a client's entry may lie. The key is in the scratch. */
struct client_site {
	const struct table_key *key;
	struct table_set *first, *second;
};

/* Finds the sets of the flow's client. Returns 0 on success. */
static __always_inline int find_client(const struct flow_key *flow,
				       struct client_site *site)
{
	const struct topic_keys *keys = the_keys();
	struct scratch *scratch = own_scratch();
	struct client_sets sets;

	if (!keys || !scratch)
		return -1;
	scratch->client.key = client_table_key(&flow->client, flow->service);
	sets = find_client_sets(keys, client_sets, &scratch->client.key);
	site->key = &scratch->client.key;
	site->first = bpf_map_lookup_elem(&predictions, &sets.first);
	site->second = bpf_map_lookup_elem(&predictions, &sets.second);
	return site->first && site->second ? 0 : -1;
}

/* Copies the entry of the flow's client at `now` to the scratch. Returns 0 on success. */
__noinline int read_client_of(const struct flow_key *flow, __u32 now)
{
	struct scratch *scratch = own_scratch();
	struct client_site site;

	if (!flow || !scratch || find_client(flow, &site))
		return -1;
	return (int)read_client(site.first, site.second, site.key, &scratch->client.words,
				now);
}

/* The entry of the flow's client at `now`, or 0. A copy in the scratch. */
static __always_inline const struct client *look_up_client(const struct flow_key *flow,
							   __u32 now)
{
	struct scratch *scratch = own_scratch();

	if (!scratch || read_client_of(flow, now))
		return 0;
	return &scratch->client.words.client;
}

/* Counts one more tracked connection of the client. Returns enum connection_outcome. */
__noinline __u32 count_tracked(const struct flow_key *flow, __u32 limit, __u32 now)
{
	struct scratch *scratch = own_scratch();
	struct client_site site;

	if (!flow || !scratch || find_client(flow, &site))
		return CONNECTION_NO_ROOM;
	scratch->client.note.now = now;
	scratch->client.note.most = limit;
	return count_connection(site.first, site.second, site.key, &scratch->client.note);
}

/* Counts the end of one established connection of the client. Returns 0 if others were
 * changing its entry all the time.
 */
__noinline __u32 release_connection(const struct flow_key *flow)
{
	struct scratch *scratch = own_scratch();
	struct client_site site;

	if (!flow || !scratch || find_client(flow, &site))
		return 0;
	return uncount_connection(site.first, site.second, site.key,
				  &scratch->client.note);
}

/* Notes the event that is described in the scratch in the entry of the flow's client.
 * Returns what note_in_client() does.
 */
__noinline __u32 note_event(const struct flow_key *flow)
{
	struct scratch *scratch = own_scratch();
	struct client_site site;

	if (!flow || !scratch || find_client(flow, &site))
		return 0;
	return note_in_client(site.first, site.second, site.key, &scratch->client.note);
}
