/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The program on the interface: tail-calls the stages of the pinned prog array in order.
 * A stage with nothing to do calls the next one itself, so code after a call runs only if
 * the slot is empty.
 */
#include "xdp/chain.h"

SEC("xdp")
int xdp_root(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &root_array, SLOT_MQTT);
	bpf_tail_call(ctx, &root_array, SLOT_FORWARDER);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
