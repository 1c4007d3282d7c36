/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Links between the programs of the chain: the prog array (the protocol of Katran's
 * shared mode), and the entry in which the mqtt stage tells the embedded forwarder which
 * real it chose.
 */
#pragma once

#include "bpf/maps.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, ROOT_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} root_array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct handoff);
} handoffs SEC(".maps");

static __always_inline struct handoff *own_handoff(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&handoffs, &zero);
}
