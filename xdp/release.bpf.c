/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Subtracts a connection that the daemon has ended from its client's guard, as the mqtt
 * stage does it. User space could only read the guard and write it back, and would
 * overwrite what the stage counts in between. The program is attached to nothing: the
 * daemon runs it (BPF_PROG_TEST_RUN) over a frame that is the client's address.
 */
#include "xdp/guard_map.h"

SEC("xdp")
int remora_release(struct xdp_md *ctx)
{
	const struct address *in_frame = (void *)(long)ctx->data;
	struct address client;

	if ((void *)(in_frame + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	client = *in_frame;
	release_connection(&client);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
