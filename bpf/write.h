/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The RST that ends a mispredicted connection, as headers, and the parts of the other
 * answers to a client. Pure.
 *
 * It is sent to the client as the service. Its sequence number is the one that the client
 * acknowledged last: a client accepts a RST only with exactly that number (RFC 5961
 * §3.2), so every later packet of the client gets another RST.
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

/* Reads headers that were written with other types: to the compiler `__u16` and `__be32`
 * do not overlap.
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

/* The RST for a segment. */
static __always_inline struct rst rst_for(const struct headers *headers)
{
	struct rst rst = { headers->client, headers->service, headers->tcp.client_port,
			   headers->tcp.service_port, headers->ack };

	return rst;
}

/* Writes a RST; with `question`, a SYN-ACK that acknowledges it. Leaves out the checksum.
 */
static __always_inline void write_tcp(struct tcphdr *out, const struct rst *rst,
				      const __be32 *question)
{
	__builtin_memset(out, 0, sizeof(*out));
	out->source = rst->service_port;
	out->dest = rst->client_port;
	out->seq = rst->seq;
	out->doff = sizeof(*out) / 4;
	if (question) {
		out->syn = 1;
		out->ack = 1;
		out->ack_seq = *question;
	} else {
		out->rst = 1;
	}
}

/* An IPv4 header for `len` bytes after it, not to be fragmented. */
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

/* An IPv6 header for `len` bytes after it. */
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

/* The RST, or the question, over IPv4. */
static __always_inline void write_tcp4(struct ip_tcp *out, const struct rst *rst,
				       const __be32 *question)
{
	__u32 sum;

	write_ipv4(&out->ip, IPPROTO_TCP, sizeof(out->tcp), rst->service.word[3],
		   rst->client.word[3]);
	write_tcp(&out->tcp, rst, question);
	sum = sum_words(&out->tcp, sizeof(out->tcp) / 2) +
	      pseudo_sum4(&out->ip, IPPROTO_TCP, sizeof(out->tcp));
	out->tcp.check = fold_checksum(sum);
}

static __always_inline void write_rst4(struct ip_tcp *out, const struct rst *rst)
{
	write_tcp4(out, rst, 0);
}

/* The RST, or the question, over IPv6. */
static __always_inline void write_tcp6(struct ipv6_tcp *out, const struct rst *rst,
				       const __be32 *question)
{
	__u32 sum;

	write_ipv6(&out->ip, IPPROTO_TCP, sizeof(out->tcp), &rst->service, &rst->client);
	write_tcp(&out->tcp, rst, question);
	sum = sum_words(&out->tcp, sizeof(out->tcp) / 2) +
	      pseudo_sum6(&out->ip, IPPROTO_TCP, sizeof(out->tcp));
	out->tcp.check = fold_checksum(sum);
}

static __always_inline void write_rst6(struct ipv6_tcp *out, const struct rst *rst)
{
	write_tcp6(out, rst, 0);
}

/* ---- ICMP errors --------------------------------------------------------------- */

/* <linux/icmp.h> drags in libc headers that clang's BPF target cannot read. */
#define ICMP4_UNREACHABLE   3 /* RFC 792 */
#define ICMP4_HOST	    1
#define ICMP4_FRAG_NEEDED   4
#define ICMP4_TIME_EXCEEDED 11
#define ICMP6_UNREACHABLE   1 /* RFC 4443 */
#define ICMP6_ADDRESS	    3
#define ICMP6_TOO_BIG	    2
#define ICMP6_TIME_EXCEEDED 3
#define ICMP6_PARAMETER	    4

/* Both families; the quoted packet follows. */
struct icmp_error {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__be32 mtu; /* IPv4: its lower half (RFC 1191 §4); 0 if there is none */
};
static_assert(sizeof(struct icmp_error) == 8, "no padding in the header");

struct ip_icmp {
	struct iphdr ip;
	struct icmp_error icmp;
};

struct ipv6_icmp {
	struct ipv6_header ip;
	struct icmp_error icmp;
};

/* The quoted part of the packet: over IPv4 the header and 8 bytes (RFC 792), over IPv6 as
 * much as fits into the smallest MTU (RFC 4443 §2.4).
 */
#define QUOTED4	     (sizeof(struct iphdr) + 8)
#define IPV6_MIN_MTU 1280
#define QUOTED6	     (IPV6_MIN_MTU - sizeof(struct ipv6_icmp))

/* Writes the headers of an ICMP error from `source`, for a quote of `len` bytes whose
 * words have the sum `quote_sum`, folded.
 */
static __always_inline void write_icmp4(struct ip_icmp *out, __be32 source,
					__be32 destination, struct icmp_error error,
					__u32 len, __u32 quote_sum)
{
	write_ipv4(&out->ip, IPPROTO_ICMP, sizeof(out->icmp) + len, source, destination);
	out->icmp = error;
	out->icmp.checksum = 0;
	out->icmp.checksum =
		fold_checksum(sum_words(&out->icmp, sizeof(out->icmp) / 2) + quote_sum);
}

static __always_inline void write_icmp6(struct ipv6_icmp *out,
					const struct address *source,
					const struct address *destination,
					struct icmp_error error, __u32 len,
					__u32 quote_sum)
{
	__u32 icmp_len = (__u32)sizeof(out->icmp) + len;

	write_ipv6(&out->ip, IPV6_ICMP, icmp_len, source, destination);
	out->icmp = error;
	out->icmp.checksum = 0;
	out->icmp.checksum =
		fold_checksum(sum_words(&out->icmp, sizeof(out->icmp) / 2) + quote_sum +
			      pseudo_sum6(&out->ip, IPV6_ICMP, icmp_len));
}
