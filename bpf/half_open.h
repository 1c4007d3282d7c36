/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The table of half-open connections (bpf/table.h). Anybody can send SYNs, so their
 * entries give way: an entry of a client without a prediction never pushes out one of a
 * client with a prediction that is younger than HALF_OPEN_HOLDS. Pure.
 *
 * All half-open connections of a port are in one set, so the last SYN of a port is found
 * there as well. The table has twice as many ways as the limit of connections; of that
 * many random connections 0.9 % are pushed out.
 */
#pragma once

#include "bpf/table.h"

/* A value of the map `half_open`. The first three words of an entry are its key, the
 * fourth is the time of its SYN. The flow may change while it is in the table, like one
 * in the flow table. table does.
 */
struct half_open_set {
	struct table_set table;
	struct flow flow[TABLE_WAYS];
};
static_assert(sizeof(struct half_open_set) == 1216, "ABI");

#define HALF_OPEN_SYN 3 /* the word with the time of the SYN, ns */

/* Ages are in units of 4 ms. They wrap after four minutes. */
#define HALF_OPEN_AGE_SHIFT 22
/* Time for a client with a prediction to send its CONNECT: 30 s. */
#define HALF_OPEN_HOLDS 7153

TABLE_INLINE __u32 half_open_table_sets(__u64 connections)
{
	__u64 sets = (2 * connections + TABLE_WAYS - 1) / TABLE_WAYS;

	return (__u32)(sets ? sets : 1);
}

TABLE_INLINE __u16 half_open_age(__u64 now_ns)
{
	return (__u16)(now_ns >> HALF_OPEN_AGE_SHIFT);
}

TABLE_INLINE struct table_key half_open_table_key(const struct flow_key *flow, __u32 isn)
{
	struct table_key key;

	__builtin_memcpy(key.word, flow, 16);
	key.word[2] = (__u64)isn << 32 | (__u32)flow->service << 16 | flow->port;
	key.mask = ~0ull;
	key.tag = 0;
	return key;
}

/* The number of the port's set, and the key's tag. The secret of this hash is a part of
 * the topic hash's secret that is used for words of the longest topics only.
 */
TABLE_INLINE __u32 find_half_open_set(const struct topic_keys *keys, __u32 sets,
				      struct table_key *key)
{
	const struct table_seed *seed =
		(const struct table_seed *)&keys->word[2 * TOPIC_ROOM + 2 - 6];
	struct table_key port = *key;
	__u64 hash;

	port.mask = 0xffffffff;
	hash = table_hash(seed, &port);
	key->tag = table_tag(hash ^ key->word[2] >> 32);
	return table_first(hash, sets);
}

/* The way of the last SYN of the key's port, whatever its sequence number; TABLE_WAYS:
 * there is none.
 */
TABLE_FUNCTION __u32 last_half_open(const struct half_open_set *set,
				    const struct table_key *key)
{
	__u32 last = TABLE_WAYS;
	__u64 latest = 0;

	if (!set || !key)
		return TABLE_WAYS;
	for (__u32 way = 0; way < TABLE_WAYS; way++) {
		const struct table_entry *entry = &set->table.entry[way];
		__u64 claim = TABLE_LOAD(&set->table.claim[way]), at;

		if (!(claim & TABLE_USED) || claim & TABLE_FILLING ||
		    TABLE_LOAD(&entry->word[0]) != key->word[0] ||
		    TABLE_LOAD(&entry->word[1]) != key->word[1] ||
		    (__u32)TABLE_LOAD(&entry->word[2]) != (__u32)key->word[2])
			continue;
		at = TABLE_LOAD(&entry->word[HALF_OPEN_SYN]);
		if (at >= latest) {
			latest = at;
			last = way;
		}
	}
	return last;
}
