/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The looks of each packet of a run: the benchmark's instructions to its wrapper. Clang
 * compiles this C for BPF, g++ for the benchmark.
 */
#pragma once

#include <linux/types.h>

/* The 8-byte words that are restored at the head of every packet: Ethernet, IP, TCP and
 * two bytes more. The chain changes nothing else.
 */
#define HEAD_WORDS 7
/* Flows at most, as a power of two. */
#define MOST_FLOW_BITS 16

/* One shape of a flow's packet: the head, and one word after it. */
struct shape {
	__u64 head[HEAD_WORDS];
	__u64 word;
	__u32 seq; /* sequence number of the flow's first packet, host order */
	__u32 pad;
};

/* Packet n belongs to round n >> flow_bits of its flow. A run visits all flows in
 * scrambled order before it returns to the first one.
 */
struct traffic {
	__u64 next;		/* number of the next packet */
	__u64 broken;		/* packets that could not be restored */
	struct shape shapes[2]; /* for even and odd rounds */
	__u32 flow_bits;
	__u32 scramble;	    /* odd */
	__u32 frame_len;    /* bytes */
	__u32 word_at;	    /* offset in the frame */
	__u32 first_client; /* IPv4, host order; flow i has first_client + i */
	__u32 seq_step;	    /* bytes that the sequence numbers advance ... */
	__u32 step_shift;   /* ... every 1 << step_shift rounds */
	__u32 pad;
};
