/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counts the PUBLISHes of tracked connections by group, QoS and verdict.
 *
 * The flow keeps the verdict on its last topic, so that each repetition of the topic is
 * counted as what it is: a connection that was kept at a wrong group publishes there for
 * as long as it lives.
 */
#pragma once

#include "xdp/packet.h"

/* Size: a limit. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct message_counts);
} messages SEC(".maps");

/* The verdict on the last judged topic of the flow. */
static __always_inline __u32 verdict_of(const struct flow *flow)
{
	return (flow->stream.flags & STREAM_VERDICT) >> STREAM_VERDICT_SHIFT;
}

static __always_inline void set_verdict(struct flow *flow, enum message_verdict verdict)
{
	flow->stream.flags &= (__u8)~STREAM_VERDICT;
	flow->stream.flags |= verdict << STREAM_VERDICT_SHIFT;
}

static __always_inline void count_message(const struct flow *flow, __u32 verdict,
					  __u32 qos)
{
	__u32 group = flow->group, kind = verdict * 4 + qos;
	struct message_counts *counts = bpf_map_lookup_elem(&messages, &group);

	FORGET(kind);
	if (counts)
		counts->of[kind % MESSAGE_KINDS] += 1;
}
