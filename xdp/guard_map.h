/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The map `guards`, and how connections are counted in it: by the stage, and by the
 * daemon through release.bpf.c.
 */
#pragma once

#include "bpf/maps.h"

/* Size: follows the limit of clients. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct address);
	__type(value, struct guard);
} guards SEC(".maps");

/* One established connection of the client has ended. */
static __always_inline void release_connection(const struct address *client)
{
	struct guard *guard = bpf_map_lookup_elem(&guards, client);

	if (!guard || !guard->connections)
		return;
	/* Another CPU may have taken the last one in between. */
	if (!__sync_fetch_and_add(&guard->connections, -1))
		__sync_fetch_and_add(&guard->connections, 1);
}
