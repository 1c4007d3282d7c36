/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the daemon has set, for stage and forwarder.
 */
#pragma once

#include "bpf/maps.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

static __always_inline const struct settings *the_settings(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&settings, &zero);
}
