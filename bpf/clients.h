/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The table of clients, map `predictions` (bpf/table.h): what each client taught last,
 * and the counts kept for it. The packet path and the daemon change an entry with the
 * same code. Pure.
 *
 * An entry without a lesson never pushes out one with a lesson. So forged connections,
 * which are counted as well, do not push out any client's prediction.
 */
#pragma once

#include "bpf/lesson.h"
#include "bpf/table.h"

/* An entry; without a lesson its group is NO_GROUP. Words 2 to 4 are stored as a whole.
 *
 * The counts belong to the client's address at this service. Times are coarse units of
 * the lesson clock. They wrap, which client_pass_time() allows for.
 */
struct client {
	struct address address;
	__u16 service;
	__u16 group;
	__u32 time;		 /* of the lesson; 0 without a group: never taught */
	__u64 topic_hash;	 /* 0: the topic is not known */
	__u64 connections : 16;	 /* tracked ones, established and not closing */
	__u64 resets : 10;	 /* since `resets_began` */
	__u64 resets_began : 11; /* RESETS_SHIFT */
	/* The client's changes between groups (xdp/changes.h) */
	__u64 doubts : 2;     /* mispredicts, as far as they matter */
	__u64 changes : 4;    /* those known to be its own */
	__u64 questions : 5;  /* SYNs that were answered with a question */
	__u64 changed_at : 8; /* its last mispredict: CLIENT_AGE_SHIFT */
	__u64 day_began : 6;  /* of these counts: DAY_SHIFT */
	__u64 flags : 2;      /* enum prediction_flags */
};
static_assert(sizeof(struct client) == sizeof(struct table_entry), "ABI");
static_assert(__builtin_offsetof(struct client, service) == 16, "CLIENT_KEY");

#define CLIENT_KEY	0xffffull /* of the third word */
#define MAX_CONNECTIONS 0xffff
#define MAX_RESETS	0x3ff
/* Mispredicts in a day after which a client is asked. */
#define DOUBTS 2
/* Some stacks need a second to repeat their SYN. */
#define QUESTIONS_A_DAY 31
/* The value of `changes` of a client that has changed too often. */
#define CHANGING 15

/* An entry as words, and words as an entry. */
union client_words {
	struct client client;
	struct table_entry entry;
};

/* Ages are lesson times in units of 17 minutes, so they mean the same after a restart.
 * They wrap after two years.
 */
#define CLIENT_AGE_SHIFT 14
#define DAY_SHIFT	 16 /* 68 minutes */
#define RESETS_SHIFT	 5  /* 2 s */

#define DAY_IN_AGES	84 /* 23.9 hours */
#define DAY_IN_UNITS	21 /* the same in units of DAY_SHIFT */
#define RESETS_IN_UNITS (RESET_WINDOW_S / 2)
/* After this age the window of resets is certainly over: 17 minutes or more. */
#define RESETS_IN_AGES 2

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

/* The numbers of the two sets of a client. */
struct client_sets {
	__u32 first, second;
};

/* Gives the key its tag. The secret of this hash is a part of the secret of the topic
 * hash that only the longest topics use.
 */
TABLE_INLINE struct client_sets find_client_sets(const struct topic_keys *keys,
						 __u32 sets, struct table_key *key)
{
	const struct table_seed *seed =
		(const struct table_seed *)&keys->word[2 * TOPIC_ROOM + 2 - 12];
	__u64 hash = table_hash(seed, key);
	struct client_sets found = { table_first(hash, sets), table_second(hash, sets) };

	key->tag = table_tag(hash);
	return found;
}

TABLE_INLINE __u64 client_rank(const struct client *client)
{
	return client->group == NO_GROUP ? 0 : TABLE_RANK;
}

TABLE_INLINE int was_taught(const struct client *client)
{
	return client->group != NO_GROUP || client->time;
}

/* Forgets counts that are over at `now`. `age`: when the entry was last looked at as a
 * whole. It shows which counts are over even if their coarse times have wrapped.
 */
TABLE_INLINE void client_pass_time(struct client *client, __u16 age, __u32 now)
{
	__u32 idle = (__u16)(client_age(now) - age);
	int is_day_over;

	if (idle > TABLE_AHEAD)
		idle = 0; /* clocks differ */
	if (idle >= RESETS_IN_AGES ||
	    (((now >> RESETS_SHIFT) - client->resets_began) & 0x7ff) >= RESETS_IN_UNITS)
		client->resets = 0;
	if (idle >= DAY_IN_AGES ||
	    ((client_age(now) - client->changed_at) & 0xff) >= DAY_IN_AGES)
		client->changes = 0;
	is_day_over = idle >= DAY_IN_AGES ||
		      (((now >> DAY_SHIFT) - client->day_began) & 0x3f) >= DAY_IN_UNITS;
	if (is_day_over) {
		client->doubts = 0;
		client->questions = 0;
		if (client->changes != CHANGING)
			client->changes = 0;
	}
	if (is_day_over || !(client->doubts | client->questions))
		client->day_began = (now >> DAY_SHIFT) & 0x3f;
}

/* Copies the client's entry as it is at `now`. If somebody keeps writing it, only group
 * and time are known. Returns TABLE_DONE, or TABLE_REFUSED if there is none.
 */
TABLE_FUNCTION __u32 read_client(const struct table_set *first,
				 const struct table_set *second,
				 const struct table_key *key, union client_words *words,
				 __u32 now)
{
	const struct table_set *set = first;
	__u32 way, result;

	if (!first || !second || !key || !words)
		return TABLE_REFUSED;
	way = table_find_in(set, key);
	if (way == TABLE_WAYS) {
		set = second;
		way = table_find_in(set, key);
	}
	if (way >= TABLE_WAYS)
		return TABLE_REFUSED;
	result = table_read(set, way, key, &words->entry);
	if (result == TABLE_BUSY) {
		words->entry.word[0] = key->word[0];
		words->entry.word[1] = key->word[1];
		words->entry.word[3] = 0;
		words->entry.word[4] = 0;
		return table_peek(set, way, key, &words->entry.word[2]) ? TABLE_DONE
									: TABLE_REFUSED;
	}
	client_pass_time(&words->client, table_age(TABLE_LOAD(&set->claim[way])), now);
	return result;
}

/* Reads an entry that the caller has claimed. */
TABLE_INLINE void load_client(const struct table_set *set, __u32 way,
			      union client_words *words)
{
	for (int word = 0; word < TABLE_WORDS; word++)
		words->entry.word[word] = TABLE_LOAD(&set->entry[way].word[word]);
}

/* Writes everything except the key, and gives the entry back. */
TABLE_INLINE void release_client(struct table_set *set, __u32 way,
				 const union client_words *words, __u16 age)
{
	for (int word = 2; word < TABLE_WORDS; word++)
		TABLE_STORE(&set->entry[way].word[word], words->entry.word[word]);
	table_release(set, way, age, client_rank(&words->client));
}

/* An entry that the caller has claimed is used at `time`. Returns its new age. */
TABLE_INLINE __u16 use_client(const struct table_set *set, __u32 way,
			      union client_words *words, __u32 time)
{
	__u16 age = table_age(TABLE_LOAD(&set->claim[way]));

	if ((__s16)(client_age(time) - age) < 0)
		return age;
	client_pass_time(&words->client, age, time);
	return client_age(time);
}

/* A new, empty entry of the client. */
TABLE_INLINE void begin_client(const struct table_key *key, union client_words *words)
{
	words->entry.word[0] = key->word[0];
	words->entry.word[1] = key->word[1];
	words->entry.word[2] = key->word[2];
	words->entry.word[3] = 0;
	words->entry.word[4] = 0;
	words->client.group = NO_GROUP;
}

/* Makes an entry of that age for a client that has none. */
TABLE_INLINE __u32 insert_client(struct table_set *first, struct table_set *second,
				 const struct table_key *key,
				 const union client_words *words, __u32 time, __u32 now,
				 __u64 by)
{
	struct table_terms terms = {};

	terms.age = client_age(time);
	terms.now = client_age(now);
	terms.holds = TABLE_FOR_EVER;
	terms.rank = client_rank(&words->client);
	terms.by = by;
	return table_insert(first, second, key, &words->entry, &terms);
}

/* ---- lessons ----------------------------------------------------------------- */

TABLE_INLINE struct prediction client_prediction(const struct client *client)
{
	struct prediction known = {};

	known.topic_hash = client->topic_hash;
	known.time = client->time;
	known.group = client->group;
	known.flags = client->flags;
	return known;
}

TABLE_INLINE void set_prediction(struct client *client, const struct prediction *next)
{
	client->topic_hash = next->topic_hash;
	client->time = next->time;
	client->group = next->group;
	client->flags = next->flags & 3;
}

/* A lesson on its way into the table. */
struct client_lesson {
	/* Afterwards: the client's prediction. */
	struct prediction lesson;
	/* The client's prediction before; NO_GROUP: none. */
	struct prediction before;
	__u32 kind;		  /* enum lesson_kind */
	__u32 now;		  /* of the lesson clock */
	__u64 by;		  /* TABLE_DAEMON, or 0 */
	union client_words words; /* working space: the stack is short */
	struct prediction next;	  /* working space, too */
};

/* Merges it into the client's entry, by the rule of bpf/lesson.h. Returns the outcome, or
 * 0 if others were changing the entry.
 */
TABLE_FUNCTION __u32 merge_into_client(struct table_set *set, __u32 way,
				       const struct table_key *key,
				       struct client_lesson *lesson)
{
	union client_words *words;
	__u32 outcome;
	__u16 age;

	if (!set || !key || !lesson || way >= TABLE_WAYS)
		return 0;
	if (table_claim(set, way, key, lesson->by) != TABLE_DONE)
		return 0;
	words = &lesson->words;
	load_client(set, way, words);
	age = use_client(set, way, words, lesson->lesson.time);
	lesson->before = client_prediction(&words->client);
	if (was_taught(&words->client)) {
		outcome = weigh_lesson(&lesson->before, &lesson->lesson, lesson->kind,
				       &lesson->next);
	} else {
		lesson->next = lesson->lesson;
		outcome = lesson->kind & LESSON_NO_NEW ? LESSON_NO_CLIENT : LESSON_NEW;
	}
	if (outcome == LESSON_NEW || outcome == LESSON_CHANGED ||
	    outcome == LESSON_SAME) {
		set_prediction(&words->client, &lesson->next);
		lesson->lesson = lesson->next;
	}
	release_client(set, way, words, age);
	return outcome;
}

/* Merges a lesson into the client's entry, which is added if need be. Returns the
 * outcome, or 0 if others were changing the entry all the time.
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
		begin_client(key, &lesson->words);
		set_prediction(&lesson->words.client, &lesson->lesson);
		result = insert_client(first, second, key, &lesson->words,
				       lesson->lesson.time, lesson->now, lesson->by);
		if (result == TABLE_DONE)
			return LESSON_NEW;
		if (result == TABLE_REFUSED)
			return LESSON_NO_ROOM;
	}
	return 0;
}

/* Claims the client's entry. Returns its place, or TABLE_NOWHERE and more. */
TABLE_FUNCTION __u32 claim_client(struct table_set *first, struct table_set *second,
				  const struct table_key *key, __u64 by)
{
	if (!first || !second || !key)
		return TABLE_NOWHERE;
	for (int attempt = 0; attempt < TABLE_ATTEMPTS; attempt++) {
		__u32 at = table_find(first, second, key), result;

		if (at >= TABLE_NOWHERE)
			return TABLE_NOWHERE;
		result = table_claim(table_set_at(first, second, at), table_way(at), key,
				     by);
		if (result == TABLE_DONE)
			return at;
	}
	return TABLE_NOWHERE + TABLE_BUSY;
}

/* Gives back what claim_client() has claimed. `time`: it was used then. */
TABLE_FUNCTION __u32 give_client_back(struct table_set *first, struct table_set *second,
				      __u32 at, const union client_words *words,
				      __u32 time)
{
	struct table_set *set = table_set_at(first, second, at);
	__u32 way = table_way(at);
	__u16 age;

	if (!first || !second || !set || !words || at >= TABLE_NOWHERE)
		return 0;
	age = table_age(TABLE_LOAD(&set->claim[way]));
	if ((__s16)(client_age(time) - age) > 0)
		age = client_age(time);
	release_client(set, way, words, age);
	return 1;
}

/* ---- counts ------------------------------------------------------------------ */

enum client_event {
	CLIENT_RESET = 1,
	CLIENT_ASKED = 2,
	CLIENT_MISPREDICTED = 3,
	CLIENT_CHANGED = 4, /* mispredicted, and known to have changed by itself */
	CLIENT_FORGED = 5,  /* others speak in its name */
};

/* An event to be counted. */
struct client_note {
	__u32 event; /* enum client_event; not of connections */
	__u32 now;   /* of the lesson clock */
	/* For connections: how many the client may have. For changes: how many in a day
	 * make it count as changing all the time, 0: it never does.
	 */
	__u32 most;
	__u32 pad;
	__u64 by;		  /* TABLE_DAEMON, or 0 */
	union client_words words; /* working space: the stack is short */
};

enum connection_outcome {
	CONNECTION_COUNTED = 0,
	CONNECTION_OVER_LIMIT = 1,
	CONNECTION_NO_ROOM = 2,
	CONNECTION_BUSY = 3, /* others were changing the entry all the time */
};

/* Counts one more connection in the client's entry, up to the limit. */
TABLE_FUNCTION __u32 count_in_client(struct table_set *set, __u32 way,
				     const struct table_key *key,
				     struct client_note *note)
{
	__u32 outcome = CONNECTION_COUNTED;
	union client_words *words;
	__u16 age;

	if (!set || !key || !note || way >= TABLE_WAYS)
		return CONNECTION_BUSY;
	if (table_claim(set, way, key, note->by) != TABLE_DONE)
		return CONNECTION_BUSY;
	words = &note->words;
	load_client(set, way, words);
	age = use_client(set, way, words, note->now);
	if (words->client.connections >= note->most ||
	    words->client.connections == MAX_CONNECTIONS)
		outcome = CONNECTION_OVER_LIMIT;
	else
		words->client.connections++;
	release_client(set, way, words, age);
	return outcome;
}

/* Counts one more connection of the client, which is added if need be. */
TABLE_FUNCTION __u32 count_connection(struct table_set *first, struct table_set *second,
				      const struct table_key *key,
				      struct client_note *note)
{
	if (!first || !second || !key || !note)
		return CONNECTION_BUSY;
	for (int attempt = 0; attempt < TABLE_ATTEMPTS; attempt++) {
		__u32 at = table_find(first, second, key), outcome, result;

		if (at < TABLE_NOWHERE) {
			outcome = count_in_client(table_set_at(first, second, at),
						  table_way(at), key, note);
			if (outcome != CONNECTION_BUSY)
				return outcome;
			continue;
		}
		begin_client(key, &note->words);
		note->words.client.connections = 1;
		result = insert_client(first, second, key, &note->words, note->now,
				       note->now, note->by);
		if (result == TABLE_DONE)
			return CONNECTION_COUNTED;
		if (result == TABLE_REFUSED)
			return CONNECTION_NO_ROOM;
	}
	return CONNECTION_BUSY;
}

/* Counts one connection less. This is no use of the entry. Returns 0 if others were
 * changing it all the time.
 */
TABLE_FUNCTION __u32 uncount_connection(struct table_set *first, struct table_set *second,
					const struct table_key *key,
					struct client_note *note)
{
	struct table_set *set;
	__u32 at, way;

	if (!first || !second || !key || !note)
		return 0;
	at = claim_client(first, second, key, note->by);
	if (at == TABLE_NOWHERE)
		return 1;
	if (at > TABLE_NOWHERE)
		return 0;
	set = table_set_at(first, second, at);
	way = table_way(at);
	load_client(set, way, &note->words);
	if (note->words.client.connections)
		note->words.client.connections--;
	release_client(set, way, &note->words, table_age(TABLE_LOAD(&set->claim[way])));
	return 1;
}

/* Notes the event in the client's entry, if it has one. */
TABLE_FUNCTION __u32 note_in_client(struct table_set *first, struct table_set *second,
				    const struct table_key *key, struct client_note *note)
{
	union client_words *words;
	__u32 event, now, at, way;
	struct table_set *set;
	__u16 age;

	if (!first || !second || !key || !note)
		return 0;
	event = note->event;
	now = note->now;
	words = &note->words;
	at = claim_client(first, second, key, note->by);
	if (at >= TABLE_NOWHERE)
		return 0;
	set = table_set_at(first, second, at);
	way = table_way(at);
	load_client(set, way, words);
	age = use_client(set, way, words, now);
	if (event == CLIENT_RESET) {
		if (!words->client.resets)
			words->client.resets_began = (now >> RESETS_SHIFT) & 0x7ff;
		if (words->client.resets < MAX_RESETS)
			words->client.resets++;
	} else if (event == CLIENT_ASKED) {
		if (words->client.questions < QUESTIONS_A_DAY)
			words->client.questions++;
	} else if (event == CLIENT_FORGED) {
		words->client.changes = 0;
		words->client.flags &= ~PREDICTION_ANSWERED & 3;
	} else {
		if (words->client.doubts < DOUBTS)
			words->client.doubts++;
		if (event == CLIENT_CHANGED && words->client.changes != CHANGING &&
		    note->most && ++words->client.changes >= note->most)
			words->client.changes = CHANGING;
		words->client.changed_at = client_age(now) & 0xff;
	}
	release_client(set, way, words, age);
	return 1;
}
