/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Passes a packet of the daemon only to the program in the forwarder's slot. It is not
 * attached to an interface: the daemon runs it (BPF_PROG_TEST_RUN) and gets back the
 * packet in the form in which the forwarder would send it.
 */
#include "xdp/chain.h"

SEC("xdp")
int xdp_ask(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &root_array, SLOT_FORWARDER);
	return XDP_ABORTED; /* the slot is empty */
}

char LICENSE[] SEC("license") = "GPL";
