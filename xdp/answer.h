/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the stage sends back to a client itself: a RST, or ICMP "fragmentation
 * needed". Both turn the received frame around.
 */
#pragma once

#include "bpf/maps.h"
#include "bpf/reply.h"

/* <linux/icmp.h> drags in libc headers that clang's BPF target cannot read. */
#define ICMP_DEST_UNREACH 3 /* RFC 792 */
#define ICMP_FRAG_NEEDED  4

struct icmp_frag_needed {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__be16 unused;
	__be16 mtu; /* of the next hop (RFC 1191 §4) */
};

#define OUTER_HEADER sizeof(struct iphdr)
#define ICMP_QUOTED  (sizeof(struct iphdr) + 8) /* RFC 792 */

static __always_inline void turn_around(struct ethhdr *eth)
{
	unsigned char mac[ETH_ALEN];

	__builtin_memcpy(mac, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, mac, ETH_ALEN);
}

/* Makes the frame `len` bytes long. Returns 0 on success. */
static __always_inline long resize(struct xdp_md *ctx, __u32 len)
{
	__u32 now = (__u32)(ctx->data_end - ctx->data);

	return bpf_xdp_adjust_tail(ctx, (int)len - (int)now);
}

/* Answers a packet of a condemned connection with a RST. */
static __always_inline int answer_with_rst(struct xdp_md *ctx, const struct packet *pkt)
{
	struct rst rst = rst_for4(pkt->ip, pkt->tcp);
	void *data, *data_end;
	struct ip_tcp *out;

	if (resize(ctx, ETH_HLEN + sizeof(*out)))
		return XDP_DROP;
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	out = data + ETH_HLEN;
	if ((void *)(out + 1) > data_end)
		return XDP_DROP;
	turn_around(data);
	write_rst4(out, &rst);
	return XDP_TX;
}

struct icmp_answer {
	struct ethhdr eth;
	struct iphdr ip;
	struct icmp_frag_needed icmp;
	__u8 quoted[ICMP_QUOTED];
} __attribute__((packed));

/* Tells the client, as the service, which MTU leaves room for the outer header
 * (RFC 1191 §4, RFC 792). The quoted packet is the one that the client sent.
 */
static __always_inline int answer_too_big(struct xdp_md *ctx, __u32 mtu)
{
	const int growth = sizeof(struct iphdr) + sizeof(struct icmp_frag_needed);
	struct icmp_answer *out;
	struct ethhdr *old;
	struct iphdr *quoted;

	if (resize(ctx, ETH_HLEN + ICMP_QUOTED) || bpf_xdp_adjust_head(ctx, -growth))
		return XDP_DROP;
	out = (void *)(long)ctx->data;
	if ((void *)(out + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	old = (void *)out + growth;
	out->eth = *old;
	turn_around(&out->eth);
	quoted = (struct iphdr *)out->quoted;

	__builtin_memset(&out->ip, 0, sizeof(out->ip) + sizeof(out->icmp));
	*(__u8 *)&out->ip = IP_PLAIN;
	out->ip.tot_len = host_to_net16(sizeof(*out) - ETH_HLEN);
	out->ip.ttl = REPLY_TTL;
	out->ip.protocol = IPPROTO_ICMP;
	out->ip.saddr = quoted->daddr;
	out->ip.daddr = quoted->saddr;
	out->ip.check = fold_checksum(sum_words(&out->ip, sizeof(out->ip) / 2));

	out->icmp.type = ICMP_DEST_UNREACH;
	out->icmp.code = ICMP_FRAG_NEEDED;
	out->icmp.mtu = host_to_net16(mtu);
	out->icmp.checksum = fold_checksum(
		sum_words(&out->icmp, (sizeof(out->icmp) + ICMP_QUOTED) / 2));
	return XDP_TX;
}
