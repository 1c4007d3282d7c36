/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads, sums up and cuts any frame. The usual packet needs none of this: its headers
 * stay in registers.
 *
 * Global functions are verified once, without knowledge about their callers. They read
 * the frame again, so callers must not keep pointers into it.
 */
#pragma once

#include "bpf/maps.h"
#include "bpf/write.h"

#define SUM_CHUNK  512 /* bytes */
#define SUM_CHUNKS 18

#define MAX_OPTIONS  40 /* bytes, in a TCP header */
#define OPTIONS_ROOM 64

/* The present frame. In a map, because the stack is small. */
struct frame {
	struct headers headers;
	/* A part of it that is read */
	union {
		struct iphdr ipv4;
		struct ipv6_header ipv6;
		__u32 chunk[SUM_CHUNK / 4];
		struct {
			__u8 before[OPTIONS_ROOM], now[OPTIONS_ROOM];
		} options;
	} part;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct frame);
} frames SEC(".maps");

static __always_inline struct frame *own_frame(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&frames, &zero);
}

/* Reads the headers into own_frame(). Returns enum parse_result. */
__noinline int parse_frame(struct xdp_md *ctx)
{
	struct frame *frame = own_frame();

	return frame ? parse_tcp((void *)(long)ctx->data, (void *)(long)ctx->data_end,
				 &frame->headers)
		     : PARSE_OTHER;
}

/* Makes the frame `len` bytes long. Returns 0 on success. */
static __always_inline long resize(struct xdp_md *ctx, __u32 len)
{
	return bpf_xdp_adjust_tail(ctx, (int)len - (int)bpf_xdp_get_buff_len(ctx));
}

/* The sum of `len` bytes of the frame (RFC 1071), folded. Returns -1 if some are missing,
 * or if there are too many.
 */
__noinline int sum_of_frame(struct xdp_md *ctx, __u32 offset, __u32 len)
{
	struct frame *frame = own_frame();
	__s64 sum = 0;

	if (!frame)
		return -1;
	for (int i = 0; i < SUM_CHUNKS && len > 0; i++) {
		__u32 last = (len < SUM_CHUNK ? len : SUM_CHUNK) - 1;

		__builtin_memset(frame->part.chunk, 0, SUM_CHUNK);
		FORGET(last);
		if (last >= SUM_CHUNK ||
		    bpf_xdp_load_bytes(ctx, offset, frame->part.chunk, last + 1))
			return -1;
		sum = bpf_csum_diff(0, 0, frame->part.chunk, SUM_CHUNK, sum);
		offset += last + 1;
		len -= last + 1;
	}
	return len ? -1 : (__u16)~fold_checksum(sum);
}
