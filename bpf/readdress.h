/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Replaces the destination or TOS of an IPv4 packet and corrects the header's checksum.
 * The TCP checksum stays that of the service, so it is not changed for a VIP. Pure.
 */
#pragma once

#include "bpf/parse.h"

/* RFC 1624 §3, eqn. 3: HC' = ~(~HC + ~m + m'), in 16-bit words of any byte order. */
static __always_inline void readdress_ipv4(struct iphdr *ip, __be32 destination)
{
	__u64 sum = (__u16)~ip->check;

	sum += (__u32)~ip->daddr;
	sum += destination;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = (__be16)~sum;
	ip->daddr = destination;
}

/* Does so for the TOS, whose word begins with the version and the header's length. */
static __always_inline void set_ipv4_class(struct iphdr *ip, __u8 tos)
{
	__u32 sum = (__u16)~ip->check + (__u16) ~*(__be16 *)ip;

	ip->tos = tos;
	sum += *(__be16 *)ip;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = (__be16)~sum;
}
