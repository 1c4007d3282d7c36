/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A stream of operations on the table of clients, for the kernel and for user space alike:
 * several runners work on the same clients at the same time, and a plain model says
 * afterwards what the table must contain.
 *
 * A lesson's topic hash and group follow from its client and time, so an entry shows by
 * itself whether its words belong together.
 */
#pragma once

#include "bpf/clients.h"

/* One runner's stream. BPF_PROG_TEST_RUN passes it through the program as a frame. */
struct runner {
  __u64 next;    /* number of the next operation */
  __u64 end;     /* one past the last */
  __u64 stream;  /* which operations */
  __u64 mixed;   /* entries found whose words do not belong together */
  __u64 twice;   /* clients found with two entries */
  __u64 refused; /* operations for which there was no room */
  __u64 again;   /* operations that were begun again because of other runners */
  __u32 clients;
  __u32 counts; /* whether connections are counted, too */
};

/* Later than the time of every lesson. */
#define LATEST (1u << 30)

enum operation_kind {
  OPERATION_TEACH,
  OPERATION_CONNECT,
  OPERATION_DISCONNECT,
  OPERATION_READ,
};

struct operation {
  __u32 client;
  __u32 time;
  __u32 kind; /* enum operation_kind */
};

TABLE_INLINE __u64 mixed_bits(__u64 value) {
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ value >> 27) * 0x94d049bb133111ebull;
  return value ^ value >> 31;
}

TABLE_INLINE __u64 bits_of(const struct runner* runner, __u64 number) {
  return mixed_bits(runner->stream * 0x9e3779b97f4a7c15ull + number);
}

/* Even operations teach, read and, with `counts`, connect. Odd ones do the same, but end most
 * of the connections that the operation before began.
 */
TABLE_INLINE struct operation operation_of(const struct runner* runner, __u64 number) {
  __u64 bits = bits_of(runner, number), before = bits_of(runner, number - 1);
  struct operation operation = {.kind = OPERATION_TEACH};

  if ((bits >> 32 & 3) == OPERATION_READ)
    operation.kind = OPERATION_READ;
  else if ((bits >> 32 & 3) == OPERATION_CONNECT && !(number & 1) && runner->counts)
    operation.kind = OPERATION_CONNECT;
  if (number & 1 && (before >> 32 & 3) == OPERATION_CONNECT && runner->counts && (number & 14)) {
    operation.kind = OPERATION_DISCONNECT;
    bits = before;
  }
  operation.client = (__u32)((bits & 0xffffffff) * runner->clients >> 32);
  /* Later operations mostly push the entries of earlier ones out. */
  operation.time = 1000 + (__u32)number * 64 + (__u32)(bits >> 48);
  return operation;
}

TABLE_INLINE __u64 topic_taught(__u32 client, __u32 time) {
  return mixed_bits((__u64)client << 32 | time);
}

TABLE_INLINE __u16 group_taught(__u64 topic) {
  return (__u16)(topic % 1000);
}

TABLE_INLINE struct address address_taught(__u32 client) {
  __u64 bits = mixed_bits(client);
  struct address address = {{(__u32)bits, (__u32)(bits >> 32), (__u32)~bits, client}};

  return address;
}

/* Whether the words of an entry belong together. */
TABLE_INLINE int is_whole(const struct client* found) {
  __u32 number = found->address.word[3];
  struct address address = address_taught(number);

  for (int i = 0; i < 3; i++)
    if (found->address.word[i] != address.word[i]) return 0;
  if (found->group == NO_GROUP) return found->topic_hash == 0;
  return found->topic_hash == topic_taught(number, found->time) &&
         found->group == group_taught(found->topic_hash);
}

/* Whether the client has two entries at the same time. */
TABLE_FUNCTION __u32 has_two(const struct table_set* first, const struct table_set* second,
                             const struct table_key* key) {
  __u64 one = 0;
  __u32 at, place = 0, two = 0;

  if (!first || !second || !key) return 0;
  for (at = 0; at < 2 * TABLE_WAYS; at++) {
    const struct table_set* set = at < TABLE_WAYS ? first : second;
    __u64 claim = TABLE_LOAD(&set->claim[table_way(at)]);

    if (!table_is_of(claim, key->tag) || !table_is_key(&set->entry[table_way(at)], key)) continue;
    two = one != 0;
    if (!one) {
      one = claim;
      place = at;
    }
  }
  if (!two) return 0;
  first = place < TABLE_WAYS ? first : second;
  return !((TABLE_LOAD(&first->claim[table_way(place)]) ^ one) &
           (TABLE_TURN | TABLE_TAG | TABLE_USED | TABLE_FILLING));
}

/* Runs one operation. Returns 0 if another runner was changing the entry: try again. */
TABLE_INLINE int run_operation(struct runner* runner, struct table_set* first,
                               struct table_set* second, const struct table_key* key,
                               const struct operation* operation, __u64 by) {
  struct client_note note = {.now = LATEST, .most = MAX_CONNECTIONS};
  struct client_lesson lesson = {};
  union client_words words;
  __u32 at, outcome;

  switch (operation->kind) {
    case OPERATION_TEACH:
      lesson.lesson.topic_hash = topic_taught(operation->client, operation->time);
      lesson.lesson.time = operation->time;
      lesson.lesson.group = group_taught(lesson.lesson.topic_hash);
      lesson.now = LATEST;
      lesson.by = by;
      outcome = merge_client_lesson(first, second, key, &lesson);
      runner->refused += outcome == LESSON_NO_ROOM;
      return outcome != 0;
    case OPERATION_CONNECT:
      outcome = count_connection(first, second, key, &note);
      runner->refused += outcome == CONNECTION_NO_ROOM;
      return outcome != CONNECTION_BUSY;
    case OPERATION_DISCONNECT:
      note.by = by;
      return uncount_connection(first, second, key, &note);
    default:
      runner->twice += has_two(first, second, key);
      at = table_find(first, second, key);
      if (at < TABLE_NOWHERE &&
          table_read(table_set_at(first, second, at), table_way(at), key, &words.entry) ==
              TABLE_DONE &&
          !is_whole(&words.client))
        runner->mixed++;
      return 1;
  }
}
