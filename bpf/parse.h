/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Ethernet, IPv4 and TCP in front of the MQTT stream. Pure: bytes in, numbers
 * out; the same lines run in the kernel, in the daemon and in the tests.
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

enum parse_result {
	PARSE_TCP,	 /* whole, plain: `struct packet` is filled */
	PARSE_OTHER,	 /* not TCP over IPv4, or no ports in it */
	PARSE_TRUNCATED, /* the IP length does not fit the frame */
	PARSE_OPTIONS,	 /* IPv4 options; addresses and ports are filled */
	PARSE_FRAGMENT,	 /* first fragment; addresses and ports are filled */
};

struct packet {
	struct ethhdr *eth;
	struct iphdr *ip;
	struct tcphdr *tcp;
	__u32 ip_len;	      /* bytes, header included */
	__u32 payload_offset; /* from the start of the frame */
	__u32 payload_len;    /* 0 as well when the TCP header is inconsistent */
	__u32 seq;	      /* host order */
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

/* Reads a frame that begins at `data`. What is behind the IP length (Ethernet
 * padding) is not payload.
 */
static __always_inline enum parse_result parse_tcp4(void *data, void *data_end,
						    struct packet *pkt)
{
	enum parse_result result = PARSE_TCP;
	__u32 header_len;

	pkt->eth = (struct ethhdr *)data;
	pkt->ip = (struct iphdr *)(pkt->eth + 1);
	pkt->tcp = (struct tcphdr *)(pkt->ip + 1);
	if ((void *)(pkt->ip + 1) > data_end ||
	    pkt->eth->h_proto != host_to_net16(ETH_P_IP) ||
	    pkt->ip->protocol != IPPROTO_TCP || pkt->ip->version != 4)
		return PARSE_OTHER;

	if (*(__u8 *)pkt->ip != IP_PLAIN) {
		if (pkt->ip->ihl < 5)
			return PARSE_OTHER;
		pkt->tcp = (struct tcphdr *)((__u8 *)pkt->ip + pkt->ip->ihl * 4);
		result = PARSE_OPTIONS;
	}
	if (pkt->ip->frag_off & host_to_net16(IP_FRAGMENT_MASK)) {
		if (pkt->ip->frag_off & host_to_net16(IP_OFFSET_MASK))
			return PARSE_OTHER;
		result = PARSE_FRAGMENT;
	}
	if ((void *)(pkt->tcp + 1) > data_end)
		return PARSE_OTHER;
	if (result != PARSE_TCP)
		return result;

	pkt->ip_len = net_to_host16(pkt->ip->tot_len);
	if (pkt->ip_len < sizeof(*pkt->ip) + sizeof(*pkt->tcp) ||
	    pkt->ip_len > (__u32)((__u8 *)data_end - (__u8 *)pkt->ip))
		return PARSE_TRUNCATED;

	pkt->seq = net_to_host32(pkt->tcp->seq);
	header_len = (__u32)sizeof(*pkt->ip) + pkt->tcp->doff * 4u;
	if (pkt->tcp->doff < 5 || header_len > pkt->ip_len)
		header_len = pkt->ip_len;
	pkt->payload_offset = ETH_HLEN + header_len;
	pkt->payload_len = pkt->ip_len - header_len;
	return PARSE_TCP;
}
