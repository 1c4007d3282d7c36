/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A set-associative table in an array that the kernel and the daemon share, for data that
 * may be forgotten. The same code runs in the packet path, in the daemon (on the mapped
 * memory) and in the tests. Pure: it owns no map and calls no helper.
 *
 * A value of the array is a set of TABLE_WAYS entries. A keyed hash of the key selects
 * two sets, and the entry is in one of them. A new entry goes into the set with more free
 * ways. If both are full, the oldest of their entries gives way, but one with a rank (of
 * a client with a lesson) never gives way to one without. So a table with room for N /
 * 0.9 entries holds N random keys, with 0.7 % pushed out.
 *
 * Each way has a claim, a word that tells whose the entry is and who writes it. Each
 * change begins by comparing and exchanging the claim:
 *
 * - FILLING: the entry gets another key. It must not be read.
 * - WRITING: its key stays, other words change. They may be read one by one.
 *
 * Each change gives the claim another turn. A reader copies the words and reads the claim
 * before and after: if the turn is the same, its copy is one consistent entry. So nobody
 * ever waits for a reader. A writer waits for another one during some loads only, then it
 * gives up. The packet path holds a claim for some dozen nanoseconds. The daemon may
 * be stopped or killed while it holds one: until the next daemon has mended the table
 * (table_mend()), an entry that it was filling is not usable, and one that it was writing
 * still has its group.
 *
 * Loads and stores must be seen in order, as they are on x86. For other machines user
 * space tells the compiler so; BPF cannot (before Linux 6.15).
 */
#pragma once

#include "bpf/abi.h"

#ifdef __cplusplus
#define TABLE_INLINE static inline
#else
#define TABLE_INLINE static __attribute__((always_inline)) inline
#endif

/* A function that the kernel verifies once for all its callers. This saves the verifier
 * memory, and a call costs some nanoseconds.
 */
#ifdef __bpf__
#define TABLE_FUNCTION __attribute__((noinline))
#else
#define TABLE_FUNCTION TABLE_INLINE
#endif

#ifdef __bpf__
#define TABLE_LOAD(at)	       (*(const volatile __u64 *)(at))
#define TABLE_STORE(at, value) (*(volatile __u64 *)(at) = (value))
#else
#define TABLE_LOAD(at)	       __atomic_load_n(at, __ATOMIC_ACQUIRE)
#define TABLE_STORE(at, value) __atomic_store_n(at, value, __ATOMIC_RELEASE)
#endif
#define TABLE_EXCHANGE(at, old, value) __sync_val_compare_and_swap(at, old, value)

#define TABLE_WAYS  8
#define TABLE_WORDS 5

struct table_entry {
	__u64 word[TABLE_WORDS]; /* the first three contain the key */
};

/* Six cache lines; the first one tells which of the others are worth reading. */
struct table_set {
	__u64 claim[TABLE_WAYS];
	struct table_entry entry[TABLE_WAYS];
};
static_assert(sizeof(struct table_set) == 384, "48 bytes per entry");

/* A claim: tag (16 bits), age (16), turn (24), state (8). */
#define TABLE_TAG	0xffffull /* part of the key's hash */
#define TABLE_AGE_SHIFT 16
#define TABLE_AGE	(0xffffull << TABLE_AGE_SHIFT)
#define TABLE_TURN	(0xffffffull << 32)
#define TABLE_USED	(1ull << 56)
#define TABLE_RANK	(1ull << 57) /* never gives way to an entry without this bit */
#define TABLE_FILLING	(1ull << 58)
#define TABLE_WRITING	(1ull << 59)
#define TABLE_DAEMON	(1ull << 60) /* claimed by the daemon */

/* Attempts to claim an entry that somebody else is writing. */
#define TABLE_PATIENCE 32
/* Attempts to insert an entry; one fails only if somebody else's succeeds. */
#define TABLE_ATTEMPTS 8

/* The secret of the hash. Without it nobody can choose keys that share a set. */
struct table_seed {
	__u64 word[6];
};

/* All functions get the two sets in which the entry of a key may be. A table may use one
 * set only (`second` is 0), which costs fewer cache lines, but such a table must be half
 * empty to hold as many keys.
 */
struct table_key {
	__u64 word[3];
	__u64 mask; /* the part of the third word that belongs to the key */
	__u64 tag;  /* table_tag() */
};

/* How an entry is written. */
struct table_terms {
	__u16 age;
	__u16 now;
	__u32 holds; /* age, in units, from which on a rank no longer counts */
	__u64 rank;  /* TABLE_RANK, or 0 */
	__u64 by;    /* TABLE_DAEMON, or 0 */
};

enum table_result {
	TABLE_DONE = 0,
	TABLE_REFUSED = 1, /* all other entries count more */
	TABLE_EXISTS = 2,  /* somebody else has inserted the key */
	TABLE_BUSY = 3,	   /* somebody else is writing */
};

/* Result of table_find(): the key is not there. */
#define TABLE_NOWHERE (2 * TABLE_WAYS)

/* ---- sizes and the hash ----------------------------------------------------- */

/* The number of sets of a table for so many entries, which then fill nine tenths of it.
 */
TABLE_INLINE __u32 table_sets(__u64 entries)
{
	__u64 ways = (entries * 10 + 8) / 9;
	__u64 sets = (ways + TABLE_WAYS - 1) / TABLE_WAYS;

	return (__u32)(sets < 2 ? 2 : sets);
}

/* NH (from UMAC, RFC 4418 §5.2.2): two keys have equal sums with a probability of 2^-32.
 */
TABLE_INLINE __u64 table_product(__u64 word, __u64 secret)
{
	return (__u64)((__u32)word + (__u32)secret) *
	       (__u32)((word >> 32) + (secret >> 32));
}

TABLE_INLINE __u64 table_hash(const struct table_seed *seed, const struct table_key *key)
{
	__u64 hash = table_product(key->word[0], seed->word[0]) +
		     table_product(key->word[1], seed->word[1]) +
		     table_product(key->word[2] & key->mask, seed->word[2]);

	/* All bits of the sum affect all bits of the hash. */
	hash = (hash ^ seed->word[3] ^ hash >> 32) * (seed->word[4] | 1);
	hash = (hash ^ hash >> 29) * (seed->word[5] | 1);
	return hash ^ hash >> 32;
}

TABLE_INLINE __u32 table_first(__u64 hash, __u32 sets)
{
	return (__u32)((hash & 0xffffffff) * sets >> 32);
}

/* A set different from the first one. */
TABLE_INLINE __u32 table_second(__u64 hash, __u32 sets)
{
	__u32 other = (__u32)((hash >> 32) * (sets - 1) >> 32);

	return other < table_first(hash, sets) ? other : other + 1;
}

TABLE_INLINE __u64 table_tag(__u64 hash)
{
	return hash * 0x9e3779b97f4a7c15ull >> 48;
}

/* ---- claims ---------------------------------------------------------------- */

TABLE_INLINE __u16 table_age(__u64 claim)
{
	return (__u16)(claim >> TABLE_AGE_SHIFT);
}

TABLE_INLINE __u64 table_with_age(__u64 claim, __u16 age)
{
	return (claim & ~TABLE_AGE) | (__u64)age << TABLE_AGE_SHIFT;
}

/* The claim in that state, with the next turn. */
TABLE_INLINE __u64 table_next(__u64 claim, __u64 state)
{
	return (claim & (TABLE_TAG | TABLE_AGE)) | ((claim + (1ull << 32)) & TABLE_TURN) |
	       state;
}

/* How much an entry counts. 0: the way is free; then entries without a rank, the oldest
 * first; then those with one; then those that somebody is writing. An entry may be ahead
 * of `now` by some units, because clocks differ.
 */
#define TABLE_AHEAD    0xff00
#define TABLE_FOR_EVER 0x10000 /* a value of `holds` */
#define TABLE_TAKEN    (1u << 20)

TABLE_INLINE __u32 table_standing(__u64 claim, __u16 now, __u32 holds)
{
	__u32 used = (__u32)(claim >> 56) & 1, ranked = (__u32)(claim >> 57) & 1;
	__u32 written = (__u32)(claim >> 58) & 3;
	__u32 since = (__u16)(now - table_age(claim));

	if (since > TABLE_AHEAD)
		since = 0;
	ranked &= since < holds;
	return written << 20 | used * (ranked << 17 | 1u << 16 | (0xffff - since));
}

/* Set and way of a place `at`: for the second set, TABLE_WAYS is added to the way.
 */
TABLE_INLINE struct table_set *table_set_at(struct table_set *first,
					    struct table_set *second, __u32 at)
{
	return at & TABLE_WAYS ? second : first;
}

TABLE_INLINE __u32 table_way(__u32 at)
{
	return at & (TABLE_WAYS - 1);
}

/* ---- reading --------------------------------------------------------------- */

TABLE_INLINE int table_is_key(const struct table_entry *entry,
			      const struct table_key *key)
{
	return TABLE_LOAD(&entry->word[0]) == key->word[0] &&
	       TABLE_LOAD(&entry->word[1]) == key->word[1] &&
	       !((TABLE_LOAD(&entry->word[2]) ^ key->word[2]) & key->mask);
}

/* Whether the claim belongs to an entry with the tag that may be read. */
TABLE_INLINE int table_is_of(__u64 claim, __u64 tag)
{
	return (claim & (TABLE_TAG | TABLE_USED | TABLE_FILLING)) == (tag | TABLE_USED);
}

TABLE_INLINE __u32 table_find_in(const struct table_set *set, const struct table_key *key)
{
	__u32 way;

	for (way = 0; way < TABLE_WAYS; way++)
		if (table_is_of(TABLE_LOAD(&set->claim[way]), key->tag) &&
		    table_is_key(&set->entry[way], key))
			break;
	return way;
}

/* The place of the key, or TABLE_NOWHERE. The key may leave it at any time, so the caller
 * must check the key again.
 */
TABLE_FUNCTION __u32 table_find(const struct table_set *first,
				const struct table_set *second,
				const struct table_key *key)
{
	__u32 way;

	if (!first || !key)
		return TABLE_NOWHERE;
	way = table_find_in(first, key);
	if (way < TABLE_WAYS)
		return way;
	return TABLE_WAYS + (second ? table_find_in(second, key) : TABLE_WAYS);
}

/* Copies the key's entry from that way. TABLE_REFUSED: it is not there any more. */
TABLE_FUNCTION __u32 table_read(const struct table_set *set, __u32 way,
				const struct table_key *key, struct table_entry *entry)
{
	if (!set || !key || !entry || way >= TABLE_WAYS)
		return TABLE_REFUSED;
	for (int i = 0; i < TABLE_PATIENCE; i++) {
		__u64 before = TABLE_LOAD(&set->claim[way]), after;

		if (!table_is_of(before, key->tag))
			return TABLE_REFUSED;
		for (int word = 0; word < TABLE_WORDS; word++)
			entry->word[word] = TABLE_LOAD(&set->entry[way].word[word]);
		after = TABLE_LOAD(&set->claim[way]);
		if ((before ^ after) & ~TABLE_AGE || before & TABLE_WRITING)
			continue;
		return table_is_key(entry, key) ? TABLE_DONE : TABLE_REFUSED;
	}
	return TABLE_BUSY;
}

/* Reads the third word of the key's entry, even while somebody writes the entry. Returns
 * whether it is still there.
 */
TABLE_INLINE int table_peek(const struct table_set *set, __u32 way,
			    const struct table_key *key, __u64 *word)
{
	for (int i = 0; i < TABLE_ATTEMPTS; i++) {
		__u64 before = TABLE_LOAD(&set->claim[way]), after;
		int is_key;

		if (!table_is_of(before, key->tag))
			return 0;
		*word = TABLE_LOAD(&set->entry[way].word[2]);
		is_key = table_is_key(&set->entry[way], key);
		after = TABLE_LOAD(&set->claim[way]);
		if (!((before ^ after) & (TABLE_TURN | TABLE_TAG | TABLE_FILLING)))
			return is_key;
	}
	return 0;
}

/* Notes that the key's entry was used. */
TABLE_INLINE void table_touch(struct table_set *set, __u32 way,
			      const struct table_key *key, __u16 now)
{
	__u64 old = TABLE_LOAD(&set->claim[way]);

	if (table_age(old) != now && table_is_of(old, key->tag) && !(old & TABLE_WRITING))
		TABLE_EXCHANGE(&set->claim[way], old, table_with_age(old, now));
}

/* ---- changing ---------------------------------------------------------------- */

/* Claims the key's entry for the caller, which may then store all words except the key,
 * and must call table_release(). `by` is TABLE_DAEMON, or 0.
 */
TABLE_FUNCTION __u32 table_claim(struct table_set *set, __u32 way,
				 const struct table_key *key, __u64 by)
{
	if (!set || !key || way >= TABLE_WAYS)
		return TABLE_REFUSED;
	for (int i = 0; i < TABLE_PATIENCE; i++) {
		__u64 claim = TABLE_LOAD(&set->claim[way]);

		if (!table_is_of(claim, key->tag) || !table_is_key(&set->entry[way], key))
			return TABLE_REFUSED;
		if (!(claim & TABLE_WRITING) &&
		    TABLE_EXCHANGE(&set->claim[way], claim, claim | TABLE_WRITING | by) ==
			    claim)
			return TABLE_DONE;
	}
	return TABLE_BUSY;
}

/* Releases a claim of table_claim(). `rank` is TABLE_RANK, or 0. */
TABLE_INLINE void table_release(struct table_set *set, __u32 way, __u16 age, __u64 rank)
{
	__u64 next = table_next(TABLE_LOAD(&set->claim[way]), TABLE_USED | rank);

	TABLE_STORE(&set->claim[way], table_with_age(next, age));
}

/* Forgets the key's entry. Returns whether it was there and nobody was writing it. */
TABLE_INLINE int table_erase(struct table_set *set, __u32 way,
			     const struct table_key *key)
{
	__u64 claim = TABLE_LOAD(&set->claim[way]);

	return table_is_of(claim, key->tag) && !(claim & TABLE_WRITING) &&
	       table_is_key(&set->entry[way], key) &&
	       TABLE_EXCHANGE(&set->claim[way], claim, table_next(claim, 0)) == claim;
}

/* The way that gives way first, in the lowest bits; the number of used ways in the set;
 * how much the entry counts. Of two such values, the lesser one is the place to take.
 */
TABLE_INLINE __u64 table_weakest(const struct table_set *set,
				 const struct table_terms *terms)
{
	__u64 weakest = 1ull << 60, used = 0;

	for (__u32 way = 0; way < TABLE_WAYS; way++) {
		__u64 claim = TABLE_LOAD(&set->claim[way]);
		__u32 counts = table_standing(claim, terms->now, terms->holds);
		__s64 less = ((__u64)counts << 16 | way) - weakest;

		used += claim >> 56 & 1;
		/* Takes the lesser one without a branch, which a CPU could not predict.
		 */
		weakest += less & less >> 63;
	}
	return weakest | used << 8;
}

/* The place to take: in the lowest bits the place, from bit 16 on how much its entry
 * counts.
 */
TABLE_FUNCTION __u64 table_choose(const struct table_set *first,
				  const struct table_set *second,
				  const struct table_terms *terms)
{
	__u64 one, other;

	if (!first || !terms)
		return ~0ull;
	one = table_weakest(first, terms);
	if (!second)
		return one;
	other = table_weakest(second, terms);
	return one >> 8 <= other >> 8 ? one : other + TABLE_WAYS;
}

/* Whether somebody else inserts the key, or has inserted it. If two insert it at the same
 * time, each sees the other's claim; the one at the higher place gives up (TABLE_EXISTS),
 * and the other one waits for that (TABLE_BUSY).
 */
TABLE_FUNCTION __u32 table_check_others(const struct table_set *first,
					const struct table_set *second, __u32 own,
					const struct table_key *key)
{
	__u32 result = TABLE_DONE;

	if (!first || !key)
		return TABLE_EXISTS;
	for (__u32 at = 0; at < 2 * TABLE_WAYS; at++) {
		const struct table_set *set = at < TABLE_WAYS ? first : second;
		__u64 claim;

		if (!set)
			break;
		claim = TABLE_LOAD(&set->claim[table_way(at)]);

		if ((claim & TABLE_TAG) != key->tag || at == own)
			continue;
		if (claim & TABLE_FILLING)
			return at < own ? TABLE_EXISTS : TABLE_BUSY;
		if (claim & TABLE_USED && table_is_key(&set->entry[table_way(at)], key))
			result = TABLE_EXISTS;
	}
	return result;
}

/* Claims a way for a key that is not there. Returns the place: the caller must store all
 * words and call table_publish(). From 2 * TABLE_WAYS on: see table_insert().
 */
TABLE_FUNCTION __u32 table_begin(struct table_set *first, struct table_set *second,
				 const struct table_key *key,
				 const struct table_terms *terms)
{
	__u64 weakest, own, old, filling;
	__u32 way, at, standing, result = TABLE_BUSY;
	struct table_set *set;

	if (!first || !key || !terms)
		return TABLE_NOWHERE + TABLE_REFUSED;
	weakest = table_choose(first, second, terms);
	at = weakest & (2 * TABLE_WAYS - 1);
	way = table_way(at);
	set = table_set_at(first, second, at);
	if (!set)
		return TABLE_NOWHERE + TABLE_REFUSED;
	standing = (__u32)(weakest >> 16);
	own = table_with_age(key->tag | terms->rank | TABLE_USED, terms->age);
	old = TABLE_LOAD(&set->claim[way]);
	if (standing >= TABLE_TAKEN ||
	    table_standing(old, terms->now, terms->holds) != standing)
		return TABLE_NOWHERE + TABLE_BUSY;
	/* Among entries of the same age, those of the daemon count less. */
	if (standing + (terms->by != 0) > table_standing(own, terms->now, terms->holds))
		return TABLE_NOWHERE + TABLE_REFUSED;
	filling = (own & (TABLE_TAG | TABLE_AGE)) | (old & TABLE_TURN) | TABLE_FILLING |
		  terms->by;
	if (TABLE_EXCHANGE(&set->claim[way], old, filling) != old)
		return TABLE_NOWHERE + TABLE_BUSY;
	for (int i = 0; i < TABLE_PATIENCE && result == TABLE_BUSY; i++)
		result = table_check_others(first, second, at, key);
	if (result == TABLE_DONE)
		return at;
	/* The old entry is not put back: its key may have got another one meanwhile. */
	TABLE_STORE(&set->claim[way], table_next(old, 0));
	return TABLE_NOWHERE + result;
}

/* Completes table_begin(). */
TABLE_INLINE void table_publish(struct table_set *set, __u32 way, __u64 rank)
{
	TABLE_STORE(&set->claim[way],
		    table_next(TABLE_LOAD(&set->claim[way]), TABLE_USED | rank));
}

/* Inserts an entry with a key that is not there. After TABLE_EXISTS and TABLE_BUSY the
 * caller must look for the key again.
 */
TABLE_INLINE __u32 table_insert(struct table_set *first, struct table_set *second,
				const struct table_key *key,
				const struct table_entry *entry,
				const struct table_terms *terms)
{
	struct table_set *set;
	__u32 at, way;

	if (!first || !key || !entry || !terms)
		return TABLE_REFUSED;
	at = table_begin(first, second, key, terms);
	if (at >= TABLE_NOWHERE)
		return at - TABLE_NOWHERE;
	set = table_set_at(first, second, at);
	way = table_way(at);
	if (!set)
		return TABLE_REFUSED;
	for (int word = 0; word < TABLE_WORDS; word++)
		TABLE_STORE(&set->entry[way].word[word], entry->word[word]);
	table_publish(set, way, terms->rank);
	return TABLE_DONE;
}

/* ---- for the daemon ---------------------------------------------------------- */

/* Completes changes that a killed daemon had begun. An entry that it was filling is
 * forgotten; one that it was writing may have some old words. No other daemon may run.
 * Returns the number of such entries.
 */
TABLE_INLINE __u32 table_mend(struct table_set *set)
{
	__u32 mended = 0;

	for (__u32 way = 0; way < TABLE_WAYS; way++) {
		__u64 claim = TABLE_LOAD(&set->claim[way]);

		if (!(claim & TABLE_DAEMON))
			continue;
		TABLE_STORE(&set->claim[way],
			    table_next(claim, claim & (TABLE_USED | TABLE_RANK)));
		mended++;
	}
	return mended;
}
