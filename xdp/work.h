/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Limits of the work that a client's packets may cause, so that nobody occupies a CPU.
 *
 * Each step of a walk is charged, in units of some 10 ns (the machine of
 * docs/performance.md; bench/dearest measures the effect of the limits). A packet may
 * cost MOST_WORK. In the long run the packets of a flow may cost WORK_ALLOWED each: the
 * excess adds up in `flow.spent`, up to WORK_BURST. A stream that costs more is left
 * unjudged.
 *
 * A packet whose only payload is one PUBLISH is not charged, because it costs less than
 * it may.
 */
#pragma once

#include "xdp/packet.h"

#define MOST_WORK    2500
#define WORK_ALLOWED 2000
#define WORK_BURST   20000
/* The part of WORK_ALLOWED that a segment gets when it is kept as an early one. It gets
 * the rest when it is judged.
 */
#define WORK_ALLOWED_EARLY 1000

#define WORK_FIELD   2 /* a field of an MQTT packet */
#define WORK_HASH    2 /* a topic where it lies in the segment, and each 64 bytes of it */
#define WORK_GATHER  8 /* a topic that is assembled */
#define WORK_RECALL  15	 /* a topic alias */
#define WORK_TEXT    100 /* a text written to `topics` */
#define WORK_WAKE    500 /* a record that wakes the daemon */
#define WORK_VERDICT 20	 /* a known verdict, and its report */
#define WORK_JUDGE   30	 /* a verdict except filters that have wildcards */
#define WORK_STEP    2	 /* 8 bytes or a level of a topic */
#define WORK_SHAPES  1	 /* two shapes examined */
#define WORK_LOOK_UP 4	 /* a look-up in a hash */
#define WORK_KEEP    120 /* an early segment that is kept */
#define WORK_EARLY   120 /* an early segment that is judged and removed */

static __always_inline void charge(struct scratch *scratch, __u32 work)
{
	scratch->walking.left -= (__s32)work;
}

/* Whether the packet has used up the work that it may cost. */
static __always_inline int is_used_up(const struct scratch *scratch)
{
	return scratch->walking.left <= 0;
}

/* Charges the packet's work to its flow. Returns whether that is too much. */
static __always_inline int is_over_budget(const struct packet *pkt)
{
	const struct walking *at = &pkt->scratch->walking;
	__s32 spent = pkt->flow->spent + MOST_WORK - at->left - at->allowed;

	if (spent < 0)
		spent = 0;
	if (spent > 0xffff)
		spent = 0xffff;
	pkt->flow->spent = spent;
	return spent > WORK_BURST;
}
