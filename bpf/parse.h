/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Parses Ethernet, VLAN tags, IPv4 or IPv6, and TCP up to the MQTT stream. Pure: bytes
 * in, numbers out; the same lines run in the kernel, in the daemon and in the tests.
 */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>

#include "bpf/abi.h"

#ifdef __bpf__
#include <bpf/bpf_endian.h>
#define net_to_host16(x) bpf_ntohs(x)
#define net_to_host32(x) bpf_ntohl(x)
#define host_to_net16(x) bpf_htons(x)
#define host_to_net32(x) bpf_htonl(x)
#else
#include <endian.h>
#define net_to_host16(x) be16toh(x)
#define net_to_host32(x) be32toh(x)
#define host_to_net16(x) htobe16(x)
#define host_to_net32(x) htobe32(x)
#endif

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define IP_PLAIN	  0x45	 /* version 4, no options */
#define IP_FRAGMENT_MASK  0x3fff /* "more fragments" and the offset */
#define IP_OFFSET_MASK	  0x1fff
#define IPV4_MAPPED_WORD2 host_to_net32(0xffff) /* RFC 4291 §2.5.5.2 */

/* RFC 8200 §3. The kernel's <linux/ipv6.h> and the C library's headers exclude each
 * other.
 */
struct ipv6_header {
	__be32 version; /* 4 bits; then traffic class and flow label */
	__be16 payload_len;
	__u8 next_header;
	__u8 hop_limit;
	struct address source, destination;
};
static_assert(sizeof(struct ipv6_header) == 40, "no padding in the header");

#define IPV6_VERSION host_to_net32(0x60000000)

/* The largest numbers of VLAN tags, and of IPv6 extension headers before TCP. */
#define VLAN_TAGS	2
#define IPV6_EXTENSIONS 4
#define VLAN_TAG_LEN	4
/* Headers that may precede TCP (RFC 8200 §4), or replace it. */
#define IPV6_HOP_BY_HOP	 0
#define IPV6_ROUTING	 43
#define IPV6_FRAGMENT	 44
#define IPV6_DESTINATION 60
#define IPV6_ICMP	 58	/* RFC 4443 §1 */
#define IPV6_OFFSET_MASK 0xfff8 /* in a fragment; bit 0: more fragments follow */

enum parse_result {
	PARSE_TCP,	 /* a whole, plain segment: `struct headers` is filled in */
	PARSE_OTHER,	 /* not TCP over IP, or without ports */
	PARSE_TRUNCATED, /* the IP length does not fit the frame */
	/* Addresses and ports are filled: */
	PARSE_OPTIONS,	 /* IPv4 options */
	PARSE_FRAGMENT,	 /* first fragment, IPv4 or IPv6 */
	PARSE_EXTENSION, /* IPv6 extension headers */
};

/* Values of `flags` in a TCP header (RFC 9293 §3.1). */
enum segment_flags {
	SEGMENT_FIN = 1,
	SEGMENT_SYN = 2,
	SEGMENT_RST = 4,
	SEGMENT_ACK = 16,
};

/* A TCP segment. It has numbers, not pointers, so that the verifier sees no difference
 * between the kinds of packets that contain it.
 */
struct segment {
	__be16 client_port, service_port;
	__u32 seq, ack;	      /* host order */
	__u32 ip_len;	      /* bytes, IP header included */
	__u32 payload_offset; /* from the start of the frame */
	__u32 payload_len;    /* also 0 if the TCP header is inconsistent */
	__u32 flags;	      /* enum segment_flags */
};

struct headers {
	struct address client, service;
	struct segment tcp;
	__be32 ack;
	__u32 ip_offset; /* from the start of the frame */
	__u32 is_ipv6;
};

static __always_inline struct address mapped_address(__be32 ipv4)
{
	struct address address = { { 0, 0, IPV4_MAPPED_WORD2, ipv4 } };

	return address;
}

static __always_inline int is_ipv4(const struct address *address)
{
	return address->word[2] == IPV4_MAPPED_WORD2 && !address->word[0] &&
	       !address->word[1];
}

static __always_inline int same_address(const struct address *a, const struct address *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1] &&
	       a->word[2] == b->word[2] && a->word[3] == b->word[3];
}

static __always_inline int is_set(const __be32 *address)
{
	return address[0] || address[1] || address[2] || address[3];
}

static __always_inline void take_tcp(struct segment *segment, const struct tcphdr *tcp)
{
	segment->client_port = tcp->source;
	segment->service_port = tcp->dest;
	segment->seq = net_to_host32(tcp->seq);
	segment->ack = net_to_host32(tcp->ack_seq);
	segment->flags = ((const __u8 *)tcp)[13];
}

/* Finds the payload in an IP packet of `ip_len` bytes at `ip_offset`, whose TCP header
 * follows after `ip_header` bytes. Bytes beyond the IP length (Ethernet padding) are not
 * payload.
 */
static __always_inline void take_payload(struct segment *segment,
					 const struct tcphdr *tcp, __u32 ip_len,
					 __u32 ip_offset, __u32 ip_header)
{
	__u32 header_len = ip_header + tcp->doff * 4u;

	if (tcp->doff < 5 || header_len > ip_len)
		header_len = ip_len;
	segment->ip_len = ip_len;
	segment->payload_offset = ip_offset + header_len;
	segment->payload_len = ip_len - header_len;
}

/* Whether it is a usual packet: TCP over IPv4, no tags, no options, not a fragment,
 * whole. parse_tcp() handles all others.
 */
static __always_inline int is_plain(void *data, void *data_end)
{
	const __be16 *type = (const __be16 *)((const __u8 *)data + 2 * ETH_ALEN);
	const struct iphdr *ip = (const struct iphdr *)(type + 1);
	const struct tcphdr *tcp = (const struct tcphdr *)(ip + 1);
	__u32 ip_len;

	if ((void *)(tcp + 1) > data_end || *type != host_to_net16(ETH_P_IP) ||
	    *(const __u8 *)ip != IP_PLAIN || ip->protocol != IPPROTO_TCP ||
	    (ip->frag_off & host_to_net16(IP_FRAGMENT_MASK)))
		return 0;
	ip_len = net_to_host16(ip->tot_len);
	return ip_len >= sizeof(*ip) + sizeof(*tcp) &&
	       ip_len <= (__u32)((const __u8 *)data_end - (const __u8 *)ip);
}

/* The IP header of a packet for which is_plain() holds, with all that follows it. */
static __always_inline const struct iphdr *plain_ip(void *data)
{
	return (const struct iphdr *)((const __u8 *)data + ETH_HLEN);
}

static __always_inline const struct tcphdr *plain_tcp(void *data)
{
	return (const struct tcphdr *)(plain_ip(data) + 1);
}

static __always_inline void read_plain(void *data, struct segment *segment)
{
	take_tcp(segment, plain_tcp(data));
	take_payload(segment, plain_tcp(data), net_to_host16(plain_ip(data)->tot_len),
		     ETH_HLEN, sizeof(struct iphdr));
}

/* Finds the IP header, after Ethernet and up to two tags (IEEE 802.1Q and 802.1ad).
 * Returns 0 if the frame ends before it. `type` becomes the EtherType before the header.
 */
static __always_inline __u32 link_length(void *data, void *data_end, __be16 *type)
{
	__u32 len = ETH_HLEN;

	for (int tags = 0; tags <= VLAN_TAGS; tags++) {
		const __u8 *end = (const __u8 *)data + len;

		if ((void *)end > data_end)
			return 0;
		*type = *(const __be16 *)(end - 2);
		if (tags == VLAN_TAGS || (*type != host_to_net16(ETH_P_8021Q) &&
					  *type != host_to_net16(ETH_P_8021AD)))
			break;
		len += VLAN_TAG_LEN;
	}
	return len;
}

/* For a packet that is not whole, or has headers before TCP: only its ports count. */
static __always_inline enum parse_result
take_part(struct headers *headers, const struct tcphdr *tcp, enum parse_result result)
{
	take_tcp(&headers->tcp, tcp);
	return result;
}

/* Reads the rest of a packet, if its IP length is right. */
static __always_inline enum parse_result
take_whole(void *data_end, struct headers *headers, const void *ip, __u32 ip_header,
	   const struct tcphdr *tcp, __u32 ip_len)
{
	take_tcp(&headers->tcp, tcp);
	headers->ack = tcp->ack_seq;
	if (ip_len < ip_header + sizeof(*tcp) ||
	    ip_len > (__u32)((const __u8 *)data_end - (const __u8 *)ip))
		return PARSE_TRUNCATED;
	take_payload(&headers->tcp, tcp, ip_len, headers->ip_offset, ip_header);
	return PARSE_TCP;
}

/* Reads IPv4 at `headers->ip_offset`. */
static __always_inline enum parse_result parse_ipv4(void *data, void *data_end,
						    struct headers *headers)
{
	const struct iphdr *ip =
		(const struct iphdr *)((const __u8 *)data + headers->ip_offset);
	enum parse_result result = PARSE_TCP;
	const struct tcphdr *tcp = (const struct tcphdr *)(ip + 1);

	if ((void *)(ip + 1) > data_end || ip->protocol != IPPROTO_TCP ||
	    ip->version != 4)
		return PARSE_OTHER;
	if (*(const __u8 *)ip != IP_PLAIN) {
		if (ip->ihl < 5)
			return PARSE_OTHER;
		tcp = (const struct tcphdr *)((const __u8 *)ip + ip->ihl * 4);
		result = PARSE_OPTIONS;
	}
	if (ip->frag_off & host_to_net16(IP_FRAGMENT_MASK)) {
		if (ip->frag_off & host_to_net16(IP_OFFSET_MASK))
			return PARSE_OTHER;
		result = PARSE_FRAGMENT;
	}
	if ((void *)(tcp + 1) > data_end)
		return PARSE_OTHER;

	headers->is_ipv6 = 0;
	headers->client = mapped_address(ip->saddr);
	headers->service = mapped_address(ip->daddr);
	return result == PARSE_TCP ? take_whole(data_end, headers, ip, sizeof(*ip), tcp,
						net_to_host16(ip->tot_len))
				   : take_part(headers, tcp, result);
}

/* Reads IPv6 at `headers->ip_offset`. Mapped addresses must not be on the wire (RFC 4942
 * §2.2), and would look like a service's IPv4 address.
 */
static __always_inline enum parse_result parse_ipv6(void *data, void *data_end,
						    struct headers *headers)
{
	const struct ipv6_header *ip =
		(const struct ipv6_header *)((const __u8 *)data + headers->ip_offset);
	__u32 at = headers->ip_offset + (__u32)sizeof(*ip);
	enum parse_result result = PARSE_TCP;
	const struct tcphdr *tcp;
	__u8 next;

	if ((void *)(ip + 1) > data_end || *(const __u8 *)ip >> 4 != 6 ||
	    is_ipv4(&ip->source) || is_ipv4(&ip->destination))
		return PARSE_OTHER;

	next = ip->next_header;
	for (int i = 0; i < IPV6_EXTENSIONS && next != IPPROTO_TCP; i++) {
		const __u8 *extension = (const __u8 *)data + at;

		if ((void *)(extension + 8) > data_end)
			return PARSE_OTHER;
		if (next == IPV6_FRAGMENT) {
			if (*(const __be16 *)(extension + 2) &
			    host_to_net16(IPV6_OFFSET_MASK))
				return PARSE_OTHER;
			result = PARSE_FRAGMENT;
			at += 8;
		} else if (next == IPV6_HOP_BY_HOP || next == IPV6_ROUTING ||
			   next == IPV6_DESTINATION) {
			if (result == PARSE_TCP)
				result = PARSE_EXTENSION;
			at += (extension[1] + 1u) * 8;
		} else {
			return PARSE_OTHER;
		}
		next = extension[0];
	}
	tcp = (const struct tcphdr *)((const __u8 *)data + at);
	if (next != IPPROTO_TCP || (void *)(tcp + 1) > data_end)
		return PARSE_OTHER;

	headers->is_ipv6 = 1;
	headers->client = ip->source;
	headers->service = ip->destination;
	/* A jumbogram's length is 0 here (RFC 2675 §3). */
	return result == PARSE_TCP
		       ? take_whole(data_end, headers, ip, sizeof(*ip), tcp,
				    sizeof(*ip) + net_to_host16(ip->payload_len))
		       : take_part(headers, tcp, result);
}

/* Reads any frame that begins at `data`. */
static __always_inline enum parse_result parse_tcp(void *data, void *data_end,
						   struct headers *headers)
{
	__be16 type = 0;

	headers->ip_offset = link_length(data, data_end, &type);
	if (!headers->ip_offset)
		return PARSE_OTHER;
	if (type == host_to_net16(ETH_P_IP))
		return parse_ipv4(data, data_end, headers);
	if (type == host_to_net16(ETH_P_IPV6))
		return parse_ipv6(data, data_end, headers);
	return PARSE_OTHER;
}
