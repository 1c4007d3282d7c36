/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The hash of a topic and of its level prefixes, and what a topic may not
 * contain. Pure; one source for kernel and user space.
 *
 * The hash decides where a client's messages go, so a client must not be able
 * to make two topics collide. Each half of it is multilinear with halved
 * multiplications over 32-bit words, sum((k1 + w1) * (k2 + w2)) mod 2^64, of
 * which the upper 32 bits are strongly universal for keys drawn at random
 * (Lemire and Kaser, "Strongly universal string hashing is fast", §4). Two
 * independent halves: two given topics collide with probability 2^-64.
 */
#pragma once

#include "bpf/parse.h"

#define TOPIC_WORDS (MAX_TOPIC / 8)

#define BYTES(value) (0x0101010101010101ull * (value))

struct topic_sum {
	__u64 half[2];
};

/* 0x80 in each byte of the result whose byte in `word` is `value`, else 0. */
static __always_inline __u64 bytes_equal(__u64 word, __u8 value)
{
	__u64 x = word ^ BYTES(value);

	return ~(((x & BYTES(0x7f)) + BYTES(0x7f)) | x | BYTES(0x7f));
}

/* The first `count` < 8 bytes of a little-endian word. */
static __always_inline __u64 first_bytes(__u64 word, __u32 count)
{
	return word & ((1ull << (8 * (count & 7))) - 1);
}

static __always_inline void sum_begin(const struct topic_keys *keys,
				      struct topic_sum *sum)
{
	sum->half[0] = keys->start[0];
	sum->half[1] = keys->start[1];
}

/* Adds the 8 bytes `word` (little-endian, zero-padded) at word `index`. */
static __always_inline void sum_word(const struct topic_keys *keys, struct topic_sum *sum,
				     __u32 index, __u64 word)
{
	const __u64 *key = keys->word[index];
	__u64 low = (__u32)word, high = word >> 32;

	sum->half[0] += (key[0] + low) * (key[1] + high);
	sum->half[1] += (key[2] + low) * (key[3] + high);
}

/* The hash of the `len` bytes added so far. Never 0, which means "none". */
static __always_inline __u64 sum_hash(const struct topic_keys *keys,
				      const struct topic_sum *sum, __u32 len)
{
	__u64 a = sum->half[0] + keys->length[0] * len;
	__u64 b = sum->half[1] + keys->length[1] * len;
	__u64 hash = (a >> 32 << 32) | b >> 32;

	return hash ? hash : 1;
}

/* The hash of a topic of `len` <= MAX_TOPIC bytes. `words` must be readable up
 * to the end of the 8-byte word in which the topic ends.
 */
static __always_inline __u64 topic_hash(const struct topic_keys *keys, const __u64 *words,
					__u32 len)
{
	struct topic_sum sum;
	__u32 i;

	sum_begin(keys, &sum);
	for (i = 0; i < TOPIC_WORDS; i++) {
		if (8 * i + 8 > len)
			break;
		sum_word(keys, &sum, i, words[i]);
	}
	if (len & 7)
		sum_word(keys, &sum, i, first_bytes(words[i], len));
	return sum_hash(keys, &sum, len);
}

/* 0x80 in each byte that a topic name may not hold: a wildcard (MQTT 5.0
 * §3.3.2.1) or NUL (§1.5.4).
 */
static __always_inline __u64 invalid_bytes(__u64 word)
{
	return bytes_equal(word, '+') | bytes_equal(word, '#') | bytes_equal(word, 0);
}
