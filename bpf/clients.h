/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A table of clients (bpf/table.h): what each was taught last, and what is counted
 * against it. The caller finds the two sets of a client; the packet path and the daemon
 * change its entry by the same lines. Pure.
 *
 * The tests of concurrency run on it, and bench/tables measures it. The packet path still
 * has the maps `predictions` and `guards`.
 */
#pragma once

#include "bpf/lesson.h"
#include "bpf/table.h"

/* An entry of the table; without a lesson its group is NO_GROUP. Words 2 to 4 are stored
 * as a whole.
 */
struct client {
	struct address address;
	__u16 service;
	__u16 group;
	__u32 time;	   /* of the lesson (bpf/lesson.h) */
	__u64 topic_hash;  /* 0: the topic is not known */
	__u16 connections; /* tracked ones */
	__u16 flags;	   /* enum prediction_flags */
	__u32 mispredicts; /* resets and changes */
};
static_assert(sizeof(struct client) == sizeof(struct table_entry), "ABI");
static_assert(__builtin_offsetof(struct client, service) == 16, "CLIENT_KEY");

#define CLIENT_KEY	0xffffull /* of the third word */
#define MAX_CONNECTIONS 0xffff

/* An entry as words, and the other way round. */
union client_words {
	struct client client;
	struct table_entry entry;
};

/* Ages are lesson times in units of 17 minutes, so they mean the same after a restart.
 * They wrap after two years.
 */
#define CLIENT_AGE_SHIFT 14

TABLE_INLINE __u16 client_age(__u32 lesson_time)
{
	return (__u16)(lesson_time >> CLIENT_AGE_SHIFT);
}

TABLE_INLINE struct table_key client_table_key(const struct address *client,
					       __u16 service)
{
	struct table_key key;

	__builtin_memcpy(key.word, client, sizeof(*client));
	key.word[2] = service;
	key.mask = CLIENT_KEY;
	key.tag = 0;
	return key;
}

TABLE_INLINE __u64 client_rank(const struct client *client)
{
	return client->group == NO_GROUP ? 0 : TABLE_RANK;
}

/* The group that is predicted for the client, NO_GROUP: it is not known. `now`: the
 * lesson clock's. It counts as a use of the entry.
 */
TABLE_FUNCTION __u32 client_group(struct table_set *first, struct table_set *second,
				  const struct table_key *key, __u32 now)
{
	__u64 word = 0;
	struct table_set *set;
	__u32 way;

	if (!first || !second || !key)
		return NO_GROUP;
	set = first;
	way = table_find_in(set, key);
	if (way == TABLE_WAYS) {
		set = second;
		way = table_find_in(set, key);
	}
	if (way >= TABLE_WAYS || !table_peek(set, way, key, &word))
		return NO_GROUP;
	table_touch(set, way, key, client_age(now));
	return (__u16)(word >> 16);
}

/* Reads an entry that the caller has claimed. */
TABLE_INLINE void load_client(const struct table_set *set, __u32 way,
			      union client_words *words)
{
	for (int word = 0; word < TABLE_WORDS; word++)
		words->entry.word[word] = TABLE_LOAD(&set->entry[way].word[word]);
}

/* Writes what is not the key. */
TABLE_INLINE void store_client(struct table_set *set, __u32 way,
			       const union client_words *words)
{
	for (int word = 2; word < TABLE_WORDS; word++)
		TABLE_STORE(&set->entry[way].word[word], words->entry.word[word]);
}

/* A new entry of the client, with nothing in it. */
TABLE_INLINE void begin_client(const struct table_key *key, union client_words *words)
{
	words->entry.word[0] = key->word[0];
	words->entry.word[1] = key->word[1];
	words->entry.word[2] = key->word[2];
	words->entry.word[3] = 0;
	words->entry.word[4] = 0;
	words->client.group = NO_GROUP;
}

TABLE_INLINE struct prediction client_prediction(const struct client *client)
{
	struct prediction known = { client->topic_hash, client->time, client->group,
				    hash_check(client->topic_hash), (__u8)client->flags };

	return known;
}

TABLE_INLINE void set_prediction(struct client *client, const struct prediction *next)
{
	client->topic_hash = next->topic_hash;
	client->time = next->time;
	client->group = next->group;
	client->flags = next->flags;
}

/* A lesson on its way into the table. */
struct client_lesson {
	/* Afterwards, what is known of the client. */
	struct prediction lesson;
	/* What was known before; NO_GROUP: nothing. */
	struct prediction before;
	__u32 kind; /* enum lesson_kind */
	__u32 now;  /* the lesson clock's */
	__u64 by;   /* TABLE_DAEMON, or 0 */
};

/* Merges it into the client's entry, by the rule of bpf/lesson.h. Returns the outcome; 0:
 * others were at it.
 */
TABLE_FUNCTION __u32 merge_into_client(struct table_set *set, __u32 way,
				       const struct table_key *key,
				       struct client_lesson *lesson)
{
	union client_words words;
	struct prediction next;
	__u32 outcome;
	__u16 age;

	if (!set || !key || !lesson || way >= TABLE_WAYS)
		return 0;
	if (table_claim(set, way, key, lesson->by) != TABLE_DONE)
		return 0;
	load_client(set, way, &words);
	lesson->before = client_prediction(&words.client);
	if (lesson->before.group == NO_GROUP) {
		next = lesson->lesson;
		outcome = lesson->kind & LESSON_NO_NEW ? LESSON_NO_CLIENT : LESSON_NEW;
	} else {
		outcome = weigh_lesson(&lesson->before, &lesson->lesson, lesson->kind,
				       &next);
	}
	age = table_age(TABLE_LOAD(&set->claim[way]));
	if ((__s16)(client_age(lesson->lesson.time) - age) > 0)
		age = client_age(lesson->lesson.time);
	if (outcome == LESSON_NEW || outcome == LESSON_CHANGED ||
	    outcome == LESSON_SAME) {
		set_prediction(&words.client, &next);
		store_client(set, way, &words);
		lesson->lesson = next;
	}
	table_release(set, way, age, client_rank(&words.client));
	return outcome;
}

/* Makes an entry for the client, which has none. */
TABLE_FUNCTION __u32 insert_client(struct table_set *first, struct table_set *second,
				   const struct table_key *key,
				   const struct client_lesson *lesson)
{
	union client_words words;
	struct table_terms terms = {};

	if (!first || !second || !key || !lesson)
		return TABLE_REFUSED;
	begin_client(key, &words);
	set_prediction(&words.client, &lesson->lesson);
	terms.age = client_age(lesson->lesson.time);
	terms.now = client_age(lesson->now);
	terms.holds = TABLE_FOR_EVER;
	terms.rank = client_rank(&words.client);
	terms.by = lesson->by;
	return table_insert(first, second, key, &words.entry, &terms);
}

/* Merges a lesson into what is known of the client, which is made known if need be.
 * Returns the outcome; 0: others were at it all the time.
 */
TABLE_FUNCTION __u32 merge_client_lesson(struct table_set *first,
					 struct table_set *second,
					 const struct table_key *key,
					 struct client_lesson *lesson)
{
	if (!first || !second || !key || !lesson)
		return 0;
	for (int attempt = 0; attempt < TABLE_ATTEMPTS; attempt++) {
		__u32 at = table_find(first, second, key), outcome, result;

		if (at < TABLE_NOWHERE) {
			outcome = merge_into_client(table_set_at(first, second, at),
						    table_way(at), key, lesson);
			if (outcome)
				return outcome;
			continue;
		}
		lesson->before.group = NO_GROUP;
		if (lesson->kind & LESSON_NO_NEW)
			return LESSON_NO_CLIENT;
		result = insert_client(first, second, key, lesson);
		if (result == TABLE_DONE)
			return LESSON_NEW;
		if (result == TABLE_REFUSED)
			return LESSON_NO_ROOM;
	}
	return 0;
}

enum connection_outcome {
	CONNECTION_COUNTED = 0,
	CONNECTION_OVER_LIMIT = 1,
	CONNECTION_NO_ROOM = 2,
	CONNECTION_BUSY = 3, /* others were at it all the time */
};

/* Counts one more connection in the client's entry, up to the limit. */
TABLE_FUNCTION __u32 count_in_client(struct table_set *set, __u32 way,
				     const struct table_key *key, __u32 limit, __u32 now)
{
	__u32 outcome = CONNECTION_COUNTED;
	union client_words words;

	if (!set || !key || way >= TABLE_WAYS)
		return CONNECTION_BUSY;
	if (table_claim(set, way, key, 0) != TABLE_DONE)
		return CONNECTION_BUSY;
	load_client(set, way, &words);
	if (words.client.connections >= limit ||
	    words.client.connections == MAX_CONNECTIONS)
		outcome = CONNECTION_OVER_LIMIT;
	else
		words.client.connections++;
	store_client(set, way, &words);
	table_release(set, way, client_age(now), client_rank(&words.client));
	return outcome;
}

/* Counts one more connection of the client, which is made known if need be. */
TABLE_FUNCTION __u32 count_connection(struct table_set *first, struct table_set *second,
				      const struct table_key *key, __u32 limit, __u32 now)
{
	struct table_terms terms = {};
	union client_words words;

	if (!first || !second || !key)
		return CONNECTION_BUSY;
	for (int attempt = 0; attempt < TABLE_ATTEMPTS; attempt++) {
		__u32 at = table_find(first, second, key), outcome, result;

		if (at < TABLE_NOWHERE) {
			outcome = count_in_client(table_set_at(first, second, at),
						  table_way(at), key, limit, now);
			if (outcome != CONNECTION_BUSY)
				return outcome;
			continue;
		}
		begin_client(key, &words);
		words.client.connections = 1;
		terms.age = client_age(now);
		terms.now = client_age(now);
		terms.holds = TABLE_FOR_EVER;
		result = table_insert(first, second, key, &words.entry, &terms);
		if (result == TABLE_DONE)
			return CONNECTION_COUNTED;
		if (result == TABLE_REFUSED)
			return CONNECTION_NO_ROOM;
	}
	return CONNECTION_BUSY;
}

/* Counts one connection less. `by`: TABLE_DAEMON, or 0. Returns 0 if others were at it
 * all the time.
 */
TABLE_FUNCTION __u32 uncount_connection(struct table_set *first, struct table_set *second,
					const struct table_key *key, __u64 by)
{
	if (!first || !second || !key)
		return 0;
	for (int attempt = 0; attempt < TABLE_ATTEMPTS; attempt++) {
		__u32 at = table_find(first, second, key), way = table_way(at);
		struct table_set *set = table_set_at(first, second, at);
		union client_words words;

		if (at >= TABLE_NOWHERE)
			return 1;
		if (table_claim(set, way, key, by) != TABLE_DONE)
			continue;
		load_client(set, way, &words);
		if (words.client.connections)
			words.client.connections--;
		store_client(set, way, &words);
		table_release(set, way, table_age(TABLE_LOAD(&set->claim[way])),
			      client_rank(&words.client));
		return 1;
	}
	return 0;
}
