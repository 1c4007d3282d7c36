/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs before the program that is measured. With a repeat count, BPF_PROG_TEST_RUN gives
 * every run the packet that the last one left. So the wrapper restores its length, head
 * and first bytes, makes it the next packet of its flow, and tail-calls the program.
 *
 * Its work does not depend on what the program did, so its own cost, measured with an
 * empty program, can be subtracted.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bench/traffic.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} target SEC(".maps");

struct traffic traffic;

#define LARGEST_WORD_AT 1023

/* Visits every flow once per round, in an order that a prefetcher cannot predict. */
static __always_inline __u32 scrambled(__u32 n)
{
	__u32 mask = (1u << traffic.flow_bits) - 1;

	n = n * traffic.scramble & mask;
	n ^= n >> (MOST_FLOW_BITS / 2 + 1);
	return n * traffic.scramble & mask;
}

static __always_inline int give_up(void)
{
	traffic.broken++;
	return XDP_ABORTED;
}

SEC("xdp")
int bench_wrapper(struct xdp_md *ctx)
{
	__u64 n = traffic.next++;
	__u32 round = (__u32)(n >> traffic.flow_bits);
	const struct shape *shape = &traffic.shapes[round & 1];
	__u32 word_at = traffic.word_at & LARGEST_WORD_AT;
	long length = (void *)(long)ctx->data_end - (void *)(long)ctx->data;
	struct iphdr *ip;
	struct tcphdr *tcp;
	__u64 *head;
	void *data;

	/* Clang would subtract pointers as 32-bit numbers, which the verifier refuses. */
	asm volatile("" : "+r"(length));
	if (bpf_xdp_adjust_head(ctx, (int)(length - traffic.frame_len)))
		return give_up();
	data = (void *)(long)ctx->data;
	head = data;
	ip = data + sizeof(struct ethhdr);
	tcp = (void *)(ip + 1);
	if ((void *)(head + HEAD_WORDS) > (void *)(long)ctx->data_end ||
	    data + word_at + sizeof(shape->word) > (void *)(long)ctx->data_end)
		return give_up();

#pragma unroll
	for (int i = 0; i < HEAD_WORDS; i++)
		head[i] = shape->head[i];
	*(__u64 *)(data + word_at) = shape->word;
	ip->saddr = bpf_htonl(traffic.first_client + scrambled((__u32)n));
	tcp->seq =
		bpf_htonl(shape->seq + (round >> traffic.step_shift) * traffic.seq_step);

	bpf_tail_call(ctx, &target, 0);
	return give_up();
}

char LICENSE[] SEC("license") = "GPL";
