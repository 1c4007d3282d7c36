/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Decides which slot of a ring a new flow gets, with the same hash as Katran, so that
 * both give it the same real. Pure.
 *
 * The kernel's jhash() is Bob Jenkins' lookup3 over little-endian words.
 */
#pragma once

#include "bpf/parse.h"

#define FLOW_HASH_SEED	  (512 * RING_SIZE)
#define ADDRESS_HASH_SEED 512

static __always_inline __u32 rotate(__u32 x, __u32 by)
{
	return x << by | x >> (32 - by);
}

/* lookup3's final(): the hash of three words after the last one was added. */
static __always_inline __u32 hash_final(__u32 a, __u32 b, __u32 c)
{
	c ^= b;
	c -= rotate(b, 14);
	a ^= c;
	a -= rotate(c, 11);
	b ^= a;
	b -= rotate(a, 25);
	c ^= b;
	c -= rotate(b, 16);
	a ^= c;
	a -= rotate(c, 4);
	b ^= a;
	b -= rotate(a, 14);
	c ^= b;
	c -= rotate(b, 24);
	return c;
}

/* The kernel's jhash_2words(). */
static __always_inline __u32 hash_2words(__u32 a, __u32 b, __u32 seed)
{
	__u32 start = seed + 0xdeadbeef + (2 << 2);

	return hash_final(a + start, b + start, start);
}

/* The kernel's jhash() of 16 bytes: lookup3's mix() of three words, then the fourth. */
static __always_inline __u32 hash_address(const struct address *address, __u32 seed)
{
	__u32 a, b, c;

	a = b = c = 0xdeadbeef + (__u32)sizeof(*address) + seed;
	a += address->word[0];
	b += address->word[1];
	c += address->word[2];
	a -= c;
	a ^= rotate(c, 4);
	c += b;
	b -= a;
	b ^= rotate(a, 6);
	a += c;
	c -= b;
	c ^= rotate(b, 8);
	b += a;
	a -= c;
	a ^= rotate(c, 16);
	c += b;
	b -= a;
	b ^= rotate(a, 19);
	a += c;
	c -= b;
	c ^= rotate(b, 4);
	b += a;
	return hash_final(a + address->word[3], b, c);
}

/* Input to the hash for a VIP with Katran's flag "no source port": port 0. */
static __always_inline __u32 without_client_port(__u32 ports)
{
	return ports & 0xffff0000;
}

/* `ports` are the client's and the service's, in the form of the TCP header. */
static __always_inline __u32 flow_hash(const struct address *client, __u32 ports)
{
	__u32 source = is_ipv4(client) ? client->word[3]
				       : hash_address(client, ADDRESS_HASH_SEED);

	return hash_2words(source, ports, FLOW_HASH_SEED);
}
