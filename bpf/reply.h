/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The RST with which a mispredicted connection is ended, as headers, and what the
 * other answers to a client are made of. Pure.
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

struct ipv6_tcp {
	struct ipv6_header ip;
	struct tcphdr tcp;
};
static_assert(sizeof(struct ipv6_tcp) == 60, "no padding between the headers");

struct rst {
	struct address client, service; /* of one family */
	__be16 client_port, service_port;
	__be32 seq; /* what the client acknowledged */
};

#define REPLY_TTL 64 /* IPv4's TTL and IPv6's hop limit */

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
static __always_inline struct rst rst_for4(const struct iphdr *ip,
					   const struct tcphdr *tcp)
{
	struct rst rst = { mapped_address(ip->saddr), mapped_address(ip->daddr),
			   tcp->source, tcp->dest, tcp->ack_seq };

	return rst;
}

static __always_inline struct rst rst_for6(const struct ipv6_header *ip,
					   const struct tcphdr *tcp)
{
	struct rst rst = { ip->source, ip->destination, tcp->source, tcp->dest,
			   tcp->ack_seq };

	return rst;
}

/* All but the checksum. */
static __always_inline void write_rst_tcp(struct tcphdr *out, const struct rst *rst)
{
	__builtin_memset(out, 0, sizeof(*out));
	out->source = rst->service_port;
	out->dest = rst->client_port;
	out->seq = rst->seq;
	out->doff = sizeof(*out) / 4;
	out->rst = 1;
}

/* An IPv4 header for `len` bytes behind it, not to be fragmented. */
static __always_inline void write_ipv4(struct iphdr *out, __u8 protocol, __u32 len,
				       __be32 source, __be32 destination)
{
	__builtin_memset(out, 0, sizeof(*out));
	*(__u8 *)out = IP_PLAIN;
	out->tot_len = host_to_net16((__u16)(sizeof(*out) + len));
	out->frag_off = host_to_net16(0x4000); /* don't fragment */
	out->ttl = REPLY_TTL;
	out->protocol = protocol;
	out->saddr = source;
	out->daddr = destination;
	out->check = fold_checksum(sum_words(out, sizeof(*out) / 2));
}

/* An IPv6 header for `len` bytes behind it. */
static __always_inline void write_ipv6(struct ipv6_header *out, __u8 next_header,
				       __u32 len, const struct address *source,
				       const struct address *destination)
{
	out->version = IPV6_VERSION;
	out->payload_len = host_to_net16((__u16)len);
	out->next_header = next_header;
	out->hop_limit = REPLY_TTL;
	out->source = *source;
	out->destination = *destination;
}

/* The sums of the pseudo headers, for `len` bytes of `protocol`: RFC 9293 §3.1, RFC
 * 8200 §8.1.
 */
static __always_inline __u32 pseudo_sum4(const struct iphdr *ip, __u8 protocol, __u32 len)
{
	return sum_words(&ip->saddr, 4) + host_to_net16(protocol) +
	       host_to_net16((__u16)len);
}

static __always_inline __u32 pseudo_sum6(const struct ipv6_header *ip, __u8 protocol,
					 __u32 len)
{
	return sum_words(&ip->source, 16) + host_to_net16(protocol) +
	       host_to_net16((__u16)len);
}

/* The RST of a connection over IPv4. */
static __always_inline void write_rst4(struct ip_tcp *out, const struct rst *rst)
{
	__u32 sum;

	write_ipv4(&out->ip, IPPROTO_TCP, sizeof(out->tcp), rst->service.word[3],
		   rst->client.word[3]);
	write_rst_tcp(&out->tcp, rst);
	sum = sum_words(&out->tcp, sizeof(out->tcp) / 2) +
	      pseudo_sum4(&out->ip, IPPROTO_TCP, sizeof(out->tcp));
	out->tcp.check = fold_checksum(sum);
}

/* The RST of a connection over IPv6. */
static __always_inline void write_rst6(struct ipv6_tcp *out, const struct rst *rst)
{
	__u32 sum;

	write_ipv6(&out->ip, IPPROTO_TCP, sizeof(out->tcp), &rst->service, &rst->client);
	write_rst_tcp(&out->tcp, rst);
	sum = sum_words(&out->tcp, sizeof(out->tcp) / 2) +
	      pseudo_sum6(&out->ip, IPPROTO_TCP, sizeof(out->tcp));
	out->tcp.check = fold_checksum(sum);
}
