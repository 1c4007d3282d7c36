/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Passes a packet of the daemon to the program in the forwarder's slot alone. It is
 * attached to no interface: the daemon runs it (BPF_PROG_TEST_RUN) and gets back the
 * packet as the forwarder sends it.
 */
#include "xdp/chain.h"

SEC("xdp")
int xdp_ask(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &root_array, SLOT_FORWARDER);
	return XDP_ABORTED; /* nobody is */
}

char LICENSE[] SEC("license") = "GPL";
