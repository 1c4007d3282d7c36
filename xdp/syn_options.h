/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Replaces options of a SYN that would make the stream something other than MQTT over
 * TCP.
 *
 * Multipath TCP spreads a stream over several connections, each with its own gaps.
 * TCP-ENO encrypts it, and SMC moves it past the network's stack. Topics in such a stream
 * cannot be read. Each of these needs its option in both SYNs: a server that gets NOPs
 * instead does not offer it, and both ends speak plain TCP (RFC 8684 §3.7, RFC 8547 §4.7,
 * RFC 7609 §3.1).
 */
#pragma once

#include "xdp/frame.h"

/* Kinds of options (RFC 9293 §3.1 and IANA's list). */
#define OPTION_END	  0
#define OPTION_NOP	  1
#define OPTION_MULTIPATH  30
#define OPTION_ENCRYPTION 69
/* These two begin with a number of at least 16 bits for the experiment (RFC 6994 §3). */
#define OPTION_EXPERIMENT1 253
#define OPTION_EXPERIMENT2 254

#define EXPERIMENT_ENCRYPTION 0x454e
#define EXPERIMENT_SMC	      0xe2d4 /* its first half */

/* Whether an option of `size` bytes changes the stream. */
static __always_inline int changes_stream(const __u8 *option, __u32 size)
{
	__u32 experiment = option[2] << 8 | option[3];

	switch (option[0]) {
	case OPTION_MULTIPATH:
	case OPTION_ENCRYPTION:
		return 1;
	case OPTION_EXPERIMENT1:
	case OPTION_EXPERIMENT2:
		return size >= 4 && (experiment == EXPERIMENT_ENCRYPTION ||
				     experiment == EXPERIMENT_SMC);
	default:
		return 0;
	}
}

/* The state of the walk through the options of a SYN. */
struct option_walk {
	__u8 *options;
	__u32 len;   /* bytes of options */
	__u32 left;  /* bytes left of the present option */
	int replace; /* whether to replace the present option */
	int found;   /* whether options were replaced */
};

/* One byte of the options, for bpf_loop(), which the verifier walks through once. */
static long replace_byte(__u32 at, void *context)
{
	struct option_walk *walk = context;

	if (at >= MAX_OPTIONS || at >= walk->len)
		return 1;
	if (!walk->left) {
		if (walk->options[at] == OPTION_END)
			return 1;
		if (walk->options[at] == OPTION_NOP)
			return 0;
		walk->left = walk->options[at + 1];
		if (walk->left < 2 || walk->left > walk->len - at)
			return 1;
		walk->replace = changes_stream(walk->options + at, walk->left);
		walk->found |= walk->replace;
	}
	if (walk->replace)
		walk->options[at] = OPTION_NOP;
	walk->left--;
	return 0;
}

/* Writes NOPs over the options that change the stream, in `len` bytes of options. Returns
 * whether there were any. Stops where a receiver's parser stops, too.
 */
static __always_inline int replace_with_nops(__u8 *options, __u32 len)
{
	struct option_walk walk = { .options = options, .len = len };

	bpf_loop(MAX_OPTIONS, replace_byte, &walk, 0);
	return walk.found;
}

/* Whether one of the eight bytes of `word` is `byte`. */
static __always_inline int has_byte(__u64 word, __u8 byte)
{
	const __u64 ones = ~0ull / 0xff;
	__u64 differs = word ^ ones * byte;

	return ((differs - ones) & ~differs & ones << 7) != 0;
}

/* Whether an option may change the stream: one of the bytes is the number of such a kind.
 * Nearly no SYN has one, and this takes a tenth of the time of a walk.
 */
static __always_inline int may_change_stream(const __u64 *options, __u32 len)
{
	for (__u32 i = 0; i < MAX_OPTIONS / 8; i++) {
		if (8 * i >= len)
			break;
		if (has_byte(options[i], OPTION_MULTIPATH) ||
		    has_byte(options[i], OPTION_ENCRYPTION) ||
		    has_byte(options[i], OPTION_EXPERIMENT1) ||
		    has_byte(options[i], OPTION_EXPERIMENT2))
			return 1;
	}
	return 0;
}

/* Turns a SYN with `len` bytes of options at `offset` of the frame into one of plain TCP.
 * Returns whether it was changed, -1 if it is too short.
 */
__noinline int plain_options(struct xdp_md *ctx, __u32 offset, __u32 len)
{
	struct frame *frame = own_frame();
	__u32 check_offset = offset - sizeof(struct tcphdr) +
			     __builtin_offsetof(struct tcphdr, check),
	      last = len - 1;
	__u16 check;
	__s64 sum;

	if (!frame)
		return -1;
	__builtin_memset(frame->part.options.now, 0, sizeof(frame->part.options.now));
	FORGET(last);
	if (last >= MAX_OPTIONS)
		return 0; /* no options, or an inconsistent header */
	if (bpf_xdp_load_bytes(ctx, offset, frame->part.options.now, last + 1))
		return -1;
	if (!may_change_stream((const __u64 *)frame->part.options.now, last + 1))
		return 0;
	if (bpf_xdp_load_bytes(ctx, check_offset, &check, sizeof(check)))
		return -1;
	__builtin_memcpy(frame->part.options.before, frame->part.options.now,
			 sizeof(frame->part.options.before));
	if (!replace_with_nops(frame->part.options.now, last + 1))
		return 0;
	sum = bpf_csum_diff((__be32 *)frame->part.options.before, MAX_OPTIONS,
			    (__be32 *)frame->part.options.now, MAX_OPTIONS,
			    (__u16)~check);
	if (sum < 0)
		return -1;
	check = fold_checksum(sum);
	return bpf_xdp_store_bytes(ctx, offset, frame->part.options.now, last + 1) ||
			       bpf_xdp_store_bytes(ctx, check_offset, &check,
						   sizeof(check))
		       ? -1
		       : 1;
}
