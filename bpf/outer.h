/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The outer header of a packet on its way to a real (RFC 2003, RFC 2473), as the
 * forwarder and the health checks write it.
 */
#pragma once

#include "bpf/parse.h"

#define OUTER_TTL     64
#define DONT_FRAGMENT host_to_net16(0x4000)
/* 172.16/16 in network order: the first two octets of Katran's outer source. */
#define OUTER_NET host_to_net32(0xac100000)
/* 100::/64 (RFC 6666): the first word of Katran's outer source. */
#define OUTER_NET6 host_to_net32(0x01000000)

/* Facts on which the outer header depends. */
struct inner {
	__be32 client; /* its address; for IPv6 the last word */
	__be16 port;   /* the client's port */
	__u16 len;     /* bytes, IP header included */
	__u8 tos;      /* or IPv6's traffic class; also for the outer header */
};

/* The low half of the outer source varies with the flow, so that the brokers' NICs spread
 * flows over their queues. The formula is Katran's.
 */
static __always_inline __be32 varying_source(__be32 client, __be16 port)
{
	__u32 varying = ((__u32)net_to_host16(port) << 16) ^ client;

	return (varying & host_to_net32(0x0000ffff)) | OUTER_NET;
}

/* The outer header's checksum, computed from the parts that vary. A one's complement sum
 * may use words of any width (RFC 1071 §2).
 */
static __always_inline __u16 outer_checksum(const struct iphdr *outer)
{
	const __be16 *begin = (const __be16 *)outer;
	__u64 sum = (__u64)*begin + outer->tot_len + outer->frag_off +
		    host_to_net16(OUTER_TTL << 8 | IPPROTO_IPIP) + outer->saddr +
		    outer->daddr;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

/* `real` is an address as in `reals`. `own_source` is 0 for Katran's source. */
static __always_inline void write_outer4(struct iphdr *outer, const struct inner *inner,
					 __be32 own_source, const __be32 *real)
{
	*(__be16 *)outer = host_to_net16(IP_PLAIN << 8 | inner->tos); /* one store */
	outer->tot_len = host_to_net16(inner->len + sizeof(*outer));
	outer->id = 0;
	/* ICMP errors come back only to an address of our own. */
	outer->frag_off = own_source ? DONT_FRAGMENT : 0;
	outer->ttl = OUTER_TTL;
	outer->protocol = IPPROTO_IPIP;
	outer->saddr =
		own_source ? own_source : varying_source(inner->client, inner->port);
	outer->daddr = real[0];
	outer->check = outer_checksum(outer);
}

/* `protocol` is that of the inner packet. `own_source` is `::` for Katran's source. */
static __always_inline void write_outer6(struct ipv6_header *outer, __u8 protocol,
					 const struct inner *inner,
					 const struct address *own_source,
					 const __be32 *real)
{
	outer->version = IPV6_VERSION | host_to_net32((__u32)inner->tos << 20);
	outer->payload_len = host_to_net16(inner->len);
	outer->next_header = protocol;
	outer->hop_limit = OUTER_TTL;
	if (is_set(own_source->word)) {
		outer->source = *own_source;
	} else {
		outer->source.word[0] = OUTER_NET6;
		outer->source.word[1] = 0;
		outer->source.word[2] = 0;
		outer->source.word[3] = inner->client ^ inner->port;
	}
	__builtin_memcpy(&outer->destination, real, sizeof(outer->destination));
}
