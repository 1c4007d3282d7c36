/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Predictions, and the one way in which a lesson changes them: for the mqtt stage, which
 * hears of it first, and for the daemon, whose lessons the program `lessons` merges.
 *
 * Several CPUs may teach the same client at once. Time, group and flags are one word,
 * which is exchanged as a whole or not at all. The topic's hash follows.
 */
#pragma once

#include "bpf/lesson.h"
#include "bpf/maps.h"

/* Size: a limit. The least recently used client makes room for a new one. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct client_key);
	__type(value, struct prediction);
} predictions SEC(".maps");

/* Attempts to write one lesson. An attempt fails only where another CPU's succeeds. */
#define MERGE_ATTEMPTS 4

static __always_inline __u64 *lesson_word(struct prediction *prediction)
{
	return (__u64 *)&prediction->time;
}
static_assert(__builtin_offsetof(struct prediction, time) == 8, "lesson_word()");

/* Replaces what `known` held by `next`, unless somebody else has replaced it. */
static __always_inline int exchange_prediction(struct prediction *known,
					       struct prediction *before,
					       struct prediction *next)
{
	__u64 old = *lesson_word(before), new = *lesson_word(next);

	if (old != new &&__sync_val_compare_and_swap(lesson_word(known), old, new) != old)
		return 0;
	if (before->topic_hash != next->topic_hash)
		known->topic_hash = next->topic_hash;
	return 1;
}

/* Merges `lesson`, of `kind`, into the client's prediction by the rule of bpf/lesson.h.
 * Afterwards `lesson` is the prediction, and `before` what it was, with NO_GROUP for
 * none.
 */
static __noinline enum lesson_outcome merge_lesson(const struct client_key *client,
						   struct prediction *lesson, __u32 kind,
						   struct prediction *before)
{
	enum lesson_outcome outcome;
	struct prediction *known;
	struct prediction next;

	for (int attempt = 0; attempt < MERGE_ATTEMPTS; attempt++) {
		known = bpf_map_lookup_elem(&predictions, client);
		if (!known) {
			before->group = NO_GROUP;
			if (kind & LESSON_NO_NEW)
				return LESSON_NO_CLIENT;
			if (bpf_map_update_elem(&predictions, client, lesson,
						BPF_NOEXIST) == 0)
				return LESSON_NEW;
			continue;
		}
		*before = *known;
		outcome = weigh_lesson(before, lesson, kind, &next);
		if (exchange_prediction(known, before, &next)) {
			*lesson = next;
			return outcome;
		}
	}
	return LESSON_NO_ROOM;
}
