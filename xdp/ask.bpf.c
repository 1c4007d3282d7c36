/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hands a packet of the daemon's to whoever is in the forwarder's slot, and to nobody
 * else. On no interface: the daemon runs it (BPF_PROG_TEST_RUN) and gets back what the
 * forwarder makes of the packet.
 */
#include "xdp/chain.h"

SEC("xdp")
int xdp_ask(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &root_array, SLOT_FORWARDER);
	return XDP_ABORTED; /* nobody is */
}

char LICENSE[] SEC("license") = "GPL";
