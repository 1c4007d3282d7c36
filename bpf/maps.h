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

/* Size: a limit, which the daemon sets before load. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

/* Flag for urgent records: a client waits, or only the daemon can teach. It costs 5 us.
 * Without it the kernel wakes a reader only if that has released all earlier records, and
 * the daemon keeps records until they are committed: it looks for other records every
 * 50 ms.
 */
#define WAKE_READER BPF_RB_FORCE_WAKEUP

static __always_inline void count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value)
		*value += 1;
}

/* Keeps the compiler from merging a check of `x` with earlier ones, which the verifier
 * (6.1, 6.18) would not connect with `x`. For a length that must not be 0 the index of
 * the last byte is checked, because 6.1 draws no lower bound from `len == 0`.
 */
#define FORGET(x) asm volatile("" : "+r"(x))
