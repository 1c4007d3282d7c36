/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The RST with which a mispredicted connection is ended, as headers. Pure.
 *
 * It is sent to the client as the service. Its sequence number is what the
 * client acknowledged last: a client takes a RST only at exactly that number
 * (RFC 5961 §3.2), so every later packet of the client gets a RST of its own.
 */
#pragma once

#include "bpf/parse.h"

struct ip_tcp {
	struct iphdr ip;
	struct tcphdr tcp;
};
static_assert(sizeof(struct ip_tcp) == 40, "no padding between the headers");

struct rst {
	__be32 client, service;
	__be16 client_port, service_port;
	__be32 seq; /* what the client acknowledged */
};

#define RST_TTL 64

static __always_inline __u16 fold_checksum(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

/* Reads headers that were written as something else: to the compiler `__u16` and
 * `__be32` do not overlap.
 */
typedef __u16 __attribute__((may_alias)) any_word;

/* The sum of `count` 16-bit words (RFC 1071), not folded. */
static __always_inline __u32 sum_words(const void *data, int count)
{
	const any_word *word = (const any_word *)data;
	__u32 sum = 0;

#ifdef __clang__
#pragma unroll
#endif
	for (int i = 0; i < count; i++)
		sum += word[i];
	return sum;
}

/* The RST for a segment with these headers. */
static __always_inline struct rst rst_for(const struct iphdr *ip,
					  const struct tcphdr *tcp)
{
	struct rst rst = { ip->saddr, ip->daddr, tcp->source, tcp->dest, tcp->ack_seq };

	return rst;
}

static __always_inline void write_rst(struct ip_tcp *out, const struct rst *rst)
{
	__u32 sum;

	__builtin_memset(out, 0, sizeof(*out));
	*(__u8 *)&out->ip = IP_PLAIN;
	out->ip.tot_len = host_to_net16(sizeof(*out));
	out->ip.frag_off = host_to_net16(0x4000); /* don't fragment */
	out->ip.ttl = RST_TTL;
	out->ip.protocol = IPPROTO_TCP;
	out->ip.saddr = rst->service;
	out->ip.daddr = rst->client;
	out->ip.check = fold_checksum(sum_words(&out->ip, sizeof(out->ip) / 2));

	out->tcp.source = rst->service_port;
	out->tcp.dest = rst->client_port;
	out->tcp.seq = rst->seq;
	out->tcp.doff = sizeof(out->tcp) / 4;
	out->tcp.rst = 1;
	/* The pseudo header: addresses, protocol, length (RFC 9293 §3.1). */
	sum = sum_words(&out->tcp, sizeof(out->tcp) / 2) + sum_words(&out->ip.saddr, 4) +
	      host_to_net16(IPPROTO_TCP) + host_to_net16(sizeof(out->tcp));
	out->tcp.check = fold_checksum(sum);
}
