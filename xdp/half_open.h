/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The half-open connections of the mqtt stage (bpf/half_open.h).
 */
#pragma once

#include "bpf/half_open.h"
#include "xdp/packet.h"
#include "xdp/stage_maps.h"

/* Size: half_open_table_sets() of the limit. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct half_open_set);
} half_open SEC(".maps");

/* The table's size; set before load. */
const volatile __u32 half_open_sets = 1;

/* The set of the port in `key`; also fills in the key's tag. */
static __always_inline struct half_open_set *set_of_port(struct table_key *key)
{
	const struct topic_keys *keys = the_keys();
	__u32 number;

	if (!keys)
		return 0;
	number = find_half_open_set(keys, half_open_sets, key);
	return bpf_map_lookup_elem(&half_open, &number);
}

/* For the verifier, which does not know that the way was checked elsewhere. */
static __always_inline __u32 bounded_way(__u32 way)
{
	FORGET(way);
	return way & (TABLE_WAYS - 1);
}

/* The half-open connection, 0: it is not there. */
static __noinline struct flow *look_up_half_open(const struct flow_key *flow, __u32 isn)
{
	struct table_key key = half_open_table_key(flow, isn);
	struct half_open_set *set = set_of_port(&key);
	__u32 way;

	if (!set)
		return 0;
	way = table_find(&set->table, 0, &key);
	return way < TABLE_WAYS ? &set->flow[bounded_way(way)] : 0;
}

/* The flow that a SYN begins. */
static __always_inline void begin_flow(const struct packet *pkt, struct flow *fresh)
{
	__builtin_memset(fresh, 0, sizeof(*fresh));
	fresh->seen_at_ns = pkt->now_ns;
	fresh->isn = pkt->tcp->seq;
	fresh->edge = pkt->tcp->seq + 1;
	fresh->group = pkt->group;
	fresh->real = pkt->real;
	fresh->prior_group = NO_GROUP;
	fresh->state = FLOW_HALF_OPEN;
	stream_begin(&fresh->stream, pkt->tcp->seq + 1);
}

/* Keeps the half-open connection of a SYN that came at `syn_at_ns`. `rank`: TABLE_RANK,
 * of a client with a prediction; or 0.
 */
static __noinline void keep_half_open(const struct packet *pkt, __u64 rank,
				      __u64 syn_at_ns)
{
	struct table_key key = half_open_table_key(&pkt->key, pkt->tcp->seq);
	struct table_terms terms = {
		.age = half_open_age(pkt->now_ns),
		.now = half_open_age(pkt->now_ns),
		.holds = HALF_OPEN_HOLDS,
		.rank = rank,
	};
	struct half_open_set *set = set_of_port(&key);
	__u32 way;

	if (!set)
		return;
	way = table_find(&set->table, 0, &key);
	if (way < TABLE_WAYS) {
		way = bounded_way(way);
		begin_flow(pkt, &set->flow[way]);
		TABLE_STORE(&set->table.entry[way].word[HALF_OPEN_SYN], syn_at_ns);
		table_touch(&set->table, way, &key, terms.now);
		return;
	}
	for (int attempt = 0; attempt < TABLE_ATTEMPTS; attempt++) {
		way = table_begin(&set->table, 0, &key, &terms);
		if (way != TABLE_NOWHERE + TABLE_BUSY)
			break;
	}
	/* Refused, because all others count more, or another CPU has a copy of the SYN.
	 */
	if (way >= TABLE_WAYS)
		return;
	way = bounded_way(way);
	for (int word = 0; word < 3; word++)
		TABLE_STORE(&set->table.entry[way].word[word], key.word[word]);
	TABLE_STORE(&set->table.entry[way].word[HALF_OPEN_SYN], syn_at_ns);
	begin_flow(pkt, &set->flow[way]);
	table_publish(&set->table, way, rank);
}

static __noinline void forget_half_open(const struct flow_key *flow, __u32 isn)
{
	struct table_key key = half_open_table_key(flow, isn);
	struct half_open_set *set = set_of_port(&key);
	__u32 way;

	if (!set)
		return;
	way = table_find(&set->table, 0, &key);
	if (way < TABLE_WAYS)
		table_erase(&set->table, bounded_way(way), &key);
}

/* The half-open connection of the last SYN of that port, 0: there is none. */
static __noinline struct flow *find_last_syn(const struct flow_key *flow)
{
	struct table_key key = half_open_table_key(flow, 0);
	struct half_open_set *set = set_of_port(&key);
	__u32 way;

	if (!set)
		return 0;
	way = last_half_open(set, &key);
	return way < TABLE_WAYS ? &set->flow[bounded_way(way)] : 0;
}

static __always_inline struct flow *find_half_open(const struct packet *pkt, __u32 isn)
{
	return look_up_half_open(&pkt->key, isn);
}
