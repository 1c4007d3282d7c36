/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Settings and findings of the daemon, for all programs of the LB.
 */
#pragma once

#include "bpf/maps.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

/* Belongs to Katran's map ABI; only index 0 is used. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct gateway);
} ctl_array SEC(".maps");

static __always_inline const struct settings *the_settings(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&settings, &zero);
}

static __always_inline int is_known_mac(const void *mac)
{
	return *(const __u32 *)mac | *((const __u16 *)mac + 2);
}
