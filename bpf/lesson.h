/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Decides which of two lessons counts: one rule for the packet path, the daemon and the
 * tests.
 *
 * A lesson tells which topic a client published, and when. Its time is a hybrid: it
 * follows a clock but never goes back, and a client's present lesson is later than all
 * its known ones. The unit is a 16th of a second. The kernel keeps the lower 32 bits and
 * compares them as TCP compares sequence numbers: four years in either direction.
 *
 * Pure: owns no map and calls no helper.
 */
#pragma once

#include "bpf/abi.h"

#ifdef __cplusplus
#define LESSON_INLINE static inline
#else
#define LESSON_INLINE static __attribute__((always_inline)) inline
#endif

#define LESSON_UNIT_NS 62500000ull
/* How far a client that keeps changing its topic may run ahead of the clock: 30 s. Beyond
 * that its lessons have equal times.
 */
#define LESSON_LEAD (30 * 16)

/* The time for `now_ns` of CLOCK_MONOTONIC. `clock_ns` is that in struct settings. */
LESSON_INLINE __u32 lesson_clock(__u64 clock_ns, __u64 now_ns)
{
	return (__u32)((clock_ns + now_ns) / LESSON_UNIT_NS);
}

LESSON_INLINE int is_later(__u32 time, __u32 than)
{
	return (__s32)(time - than) > 0;
}

/* The time of a lesson that a client gives at `clock`, if its last one has the time
 * `known`.
 */
LESSON_INLINE __u32 next_lesson_time(__u32 clock, __u32 known)
{
	if (is_later(clock, known))
		return clock;
	return known - clock < LESSON_LEAD ? known + 1 : known;
}

/* Applies a lesson to the prediction `known`: writes the new prediction to `next`, which
 * may be the same. A known topic keeps its time, or gets the later one; its group follows
 * the routes, so it is always taken over.
 */
LESSON_INLINE enum lesson_outcome weigh_lesson(const struct prediction *known,
					       const struct prediction *lesson,
					       __u32 kind, struct prediction *next)
{
	int same_topic = lesson->topic_hash && lesson->topic_hash == known->topic_hash;
	int later = is_later(lesson->time, known->time);

	*next = *known;
	if (!same_topic && !later && !(kind & LESSON_NOW))
		return LESSON_OLDER;
	if (!same_topic && kind & LESSON_NOW)
		next->time = next_lesson_time(lesson->time, known->time);
	else if (later)
		next->time = lesson->time;
	if (same_topic && known->group == lesson->group) {
		next->flags |= lesson->flags;
		return LESSON_SAME;
	}
	next->topic_hash = lesson->topic_hash;
	next->flags = lesson->flags;
	if (known->group == lesson->group)
		next->flags |= known->flags & PREDICTION_ANSWERED;
	next->group = lesson->group;
	return LESSON_CHANGED;
}
