/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps that the XDP and the TC programs share: counters and the ring.
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bpf/abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* Size: a limit, set by the daemon before load. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

/* Flag of records that are urgent: a client waits, or only the daemon can teach. It costs
 * 5 us. Without it the kernel wakes a reader only if that has released all records
 * before, and the daemon keeps them until they are committed: it looks for others every
 * 50 ms.
 */
#define WAKE_READER BPF_RB_FORCE_WAKEUP

static __always_inline void count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value)
		*value += 1;
}

/* Keeps the compiler from folding a check of `x` into earlier ones, which the
 * verifier (6.1, 6.18) would not connect with `x`. Where a length must not be 0
 * the index of the last byte is checked: 6.1 draws no lower bound from `len == 0`.
 */
#define FORGET(x) asm volatile("" : "+r"(x))
