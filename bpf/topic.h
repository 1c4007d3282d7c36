/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Topics: validity, the hash of a topic, and the hash of a topic through the shape of a
 * filter. Pure; the same source for kernel and user space.
 *
 * The hash decides where a client's messages go, so a client must not be able to make two
 * topics collide. Each half of it is multilinear with halved multiplications over 32-bit
 * words, sum((k1 + w1) * (k2 + w2)) mod 2^64, of which the upper 32 bits are strongly
 * universal for keys drawn at random (Lemire and Kaser, "Strongly universal string
 * hashing is fast", §4). For each word, the second half uses the keys that the first half
 * uses for the next word (a Toeplitz construction, as in UMAC: Black et al., "UMAC: fast
 * and secure message authentication", §4), so only half as many keys must be read. In the
 * last word in which two topics differ, the second half's keys occur in no other
 * difference: two given topics still collide with probability 2^-64.
 *
 * Through a shape, the hashes of the literal levels are the words of another such sum,
 * with keys of its own: two topics that differ in a literal level collide if the level's
 * hashes do, or otherwise the sums, with probability below 2^-63.
 */
#pragma once

#include "bpf/parse.h"

#define TOPIC_WORDS (MAX_TOPIC / 8)

#define BYTES(value) (0x0101010101010101ull * (value))

/* ---- eight bytes at a time, the first of them the lowest ------------------- */

/* 0x80 in each byte of the result whose byte in `word` is `value`, otherwise 0. */
static __always_inline __u64 bytes_equal(__u64 word, __u8 value)
{
	__u64 x = word ^ BYTES(value);

	return ~(((x & BYTES(0x7f)) + BYTES(0x7f)) | x | BYTES(0x7f));
}

/* The first `count` < 8 bytes of a word. */
static __always_inline __u64 first_bytes(__u64 word, __u32 count)
{
	return word & ((1ull << (8 * (count & 7))) - 1);
}

/* The number of the lowest bit of `bits`, which must not be 0. */
static __always_inline __u32 lowest_bit(__u64 bits)
{
	__u64 below =
		(bits & -bits) - 1; /* the ones are counted (Hacker's Delight, §5-1) */

	below -= (below >> 1) & BYTES(0x55);
	below = (below & BYTES(0x33)) + ((below >> 2) & BYTES(0x33));
	below = (below + (below >> 4)) & BYTES(0x0f);
	return (__u32)(below * BYTES(1) >> 56);
}

/* The number of bytes before the first 0x80 that bytes_equal() found; 8: none was
 * found.
 */
static __always_inline __u32 bytes_before(__u64 found)
{
	__u64 below = ((found & -found) - 1) & BYTES(0x80);

	return (__u32)((below >> 7) * BYTES(1) >> 56);
}

/* ---- valid topic names ------------------------------------------------------ */

/* 0x80 in each byte that a topic name must not contain: a wildcard (MQTT 5.0 §3.3.2.1) or
 * NUL (§1.5.4). `#` and `+` differ in one bit.
 */
static __always_inline __u64 invalid_bytes(__u64 word)
{
	return bytes_equal(word | BYTES('#' ^ '+'), '#' | '+') | bytes_equal(word, 0);
}

/* 0x80 in each byte in which the bit `bit` is set. */
static __always_inline __u64 has_bit(__u64 word, int bit)
{
	return word << (7 - bit) & BYTES(0x80);
}

/* Not 0 if the UTF-8 of `word` is invalid, where `before` is the word before it (RFC 3629
 * §4): a continuation byte is missing or superfluous, a form is not the shortest, a
 * surrogate, or above U+10FFFF. A character that `word` does not complete is judged with
 * the next word.
 */
static __always_inline __u64 utf8_errors(__u64 before, __u64 word)
{
	/* The bytes one, two and three places before each byte. */
	__u64 by1 = word << 8 | before >> 56;
	__u64 by2 = word << 16 | before >> 48;
	__u64 by3 = word << 24 | before >> 40;
	__u64 bit5 = has_bit(word, 5), bit4 = has_bit(word, 4);
	__u64 continues = has_bit(word, 7) & ~has_bit(word, 6);
	__u64 must =
		(has_bit(by1, 7) & has_bit(by1, 6)) |
		(has_bit(by2, 7) & has_bit(by2, 6) & has_bit(by2, 5)) |
		(has_bit(by3, 7) & has_bit(by3, 6) & has_bit(by3, 5) & has_bit(by3, 4));
	/* C0 and C1 begin characters that fit one byte; F5 and above begin none. */
	__u64 never = bytes_equal(word & BYTES(0xfe), 0xc0) |
		      (bytes_equal(word & BYTES(0xf0), 0xf0) &
		       (has_bit(word, 3) |
			(has_bit(word, 2) & (has_bit(word, 1) | has_bit(word, 0)))));
	/* After E0: from A0 on. After ED: up to 9F. F0: from 90 on. F4: up to 8F. */
	__u64 follows = (bytes_equal(by1, 0xe0) & ~bit5) |
			(bytes_equal(by1, 0xed) & bit5) |
			(bytes_equal(by1, 0xf0) & ~(bit5 | bit4)) |
			(bytes_equal(by1, 0xf4) & (bit5 | bit4));

	return (continues ^ must) | never | follows;
}

/* The validity of a topic name, by its bytes. */
enum topic_check {
	TOPIC_BAD = 0,
	TOPIC_GOOD = 1,
	TOPIC_NOT_ASCII = 2, /* good if it is valid UTF-8 */
};

/* Facts about the bytes of a topic so far; zeroed at the beginning. */
struct seen_bytes {
	__u64 any;     /* all words ORed */
	__u64 invalid; /* not 0: there is a byte that must not be there */
};

static __always_inline void see_word(struct seen_bytes *seen, __u64 word)
{
	seen->any |= word;
	seen->invalid |= invalid_bytes(word);
}

/* Adds the first `count` < 8 bytes of a word, the rest of which is 0. */
static __always_inline void see_bytes(struct seen_bytes *seen, __u64 word, __u32 count)
{
	seen->any |= word;
	seen->invalid |= invalid_bytes(word | ~first_bytes(~0ull, count));
}

static __always_inline enum topic_check check_seen(const struct seen_bytes *seen)
{
	if (seen->invalid)
		return TOPIC_BAD;
	return seen->any & BYTES(0x80) ? TOPIC_NOT_ASCII : TOPIC_GOOD;
}

/* Checks a topic of `len` <= MAX_TOPIC bytes. `words` must be readable up to the end
 * of the 8-byte word in which the topic ends, here and below.
 */
static __always_inline enum topic_check check_topic(const __u64 *words, __u32 len)
{
	struct seen_bytes seen = { 0, 0 };
	__u32 i;

	if (len == 0) /* §4.7.3: at least one character */
		return TOPIC_BAD;
	for (i = 0; i < TOPIC_WORDS; i++) {
		if (8 * i + 8 > len)
			break;
		see_word(&seen, words[i]);
	}
	if (len & 7)
		see_bytes(&seen, first_bytes(words[i], len), len);
	return check_seen(&seen);
}

/* The state of a check of UTF-8, word by word; zeroed at the beginning. */
struct utf8_check {
	__u64 before; /* the last word */
	__u64 bad;    /* not 0: invalid */
};

/* The words and one of zeros, for a character that is incomplete at the end. */
#define UTF8_STEPS(len) ((len) / 8 + 2)

/* Step `index` of UTF8_STEPS(len), for a topic of `len` <= MAX_TOPIC bytes. */
static __always_inline void utf8_step(struct utf8_check *text, const __u64 *words,
				      __u32 index, __u32 len)
{
	__u64 word = 0;

	if (index < TOPIC_WORDS && 8 * index < len)
		word = 8 * index + 8 <= len ? words[index]
					    : first_bytes(words[index], len);
	text->bad |= utf8_errors(text->before, word);
	text->before = word;
}

/* ---- the hash of a topic ------------------------------------------------------ */

struct topic_sum {
	__u64 half[2];
};

static __always_inline void sum_begin(const struct topic_keys *keys,
				      struct topic_sum *sum)
{
	sum->half[0] = keys->start[0];
	sum->half[1] = keys->start[1];
}

/* The keys of word `i`, followed by those of all later words. */
static __always_inline const __u64 *word_key(const struct topic_keys *keys, __u32 i)
{
	return &keys->word[2 * (__u64)i];
}

/* The two keys of a word. */
struct key_pair {
	__u64 even, odd;
};

static __always_inline struct key_pair pair_at(const __u64 *key)
{
	struct key_pair pair = { key[0], key[1] };

	return pair;
}

/* Adds the halves of a word, with the keys of its place and those of the next place. */
static __always_inline void sum_halves(struct topic_sum *sum, struct key_pair key,
				       struct key_pair next, __u64 low, __u64 high)
{
	sum->half[0] += (key.even + low) * (key.odd + high);
	sum->half[1] += (next.even + low) * (next.odd + high);
}

/* Adds the 8 bytes in `word` (the first one lowest, zero-padded) with the keys of their
 * place.
 */
static __always_inline void sum_add(struct topic_sum *sum, const __u64 *key, __u64 word)
{
	sum_halves(sum, pair_at(key), pair_at(key + 2), (__u32)word, word >> 32);
}

/* The hash of all bytes added, whose number is `len`. Never 0, which means "none". */
static __always_inline __u64 sum_hash(const struct topic_keys *keys,
				      const struct topic_sum *sum, __u32 len)
{
	__u64 a = sum->half[0] + keys->length[0] * len;
	__u64 b = sum->half[1] + keys->length[1] * len;
	__u64 hash = (a >> 32 << 32) | b >> 32;

	return hash ? hash : 1;
}

/* The hash of a topic of `len` <= MAX_TOPIC bytes. */
static __always_inline __u64 topic_hash(const struct topic_keys *keys, const __u64 *words,
					__u32 len)
{
	struct topic_sum sum;
	__u32 i;

	sum_begin(keys, &sum);
	for (i = 0; i < TOPIC_WORDS; i++) {
		if (8 * i + 8 > len)
			break;
		sum_add(&sum, word_key(keys, i), words[i]);
	}
	if (len & 7)
		sum_add(&sum, word_key(keys, i), first_bytes(words[i], len));
	return sum_hash(keys, &sum, len);
}

/* The key in `routes` of a route with this hash. The values added to the hash keep
 * generations and shapes apart: two hashes differ by a given value with probability
 * 2^-64.
 */
static __always_inline __u64 route_key(__u64 hash, __u32 generation, __u32 shape)
{
	return hash ^ ((__u64)generation << 32 | shape);
}

/* ---- topics through the shape of a filter ------------------------------------- */

/* The levels of a topic or a filter, one after the other. Zero it, then level_begin(). */
struct topic_levels {
	struct topic_sum sum; /* of the present level, so far */
	__u32 at;	      /* offset of the next byte */
	__u32 begin;	      /* offset of the present level */
	__u32 count;	      /* levels that have ended, or one more than asked for */
	__u32 pad;
	__u64 hash[MAX_LEVELS];
};

static __always_inline void level_begin(const struct topic_keys *keys,
					struct topic_levels *levels)
{
	levels->begin = levels->at;
	sum_begin(keys, &levels->sum);
}

/* Takes the next bytes of a text of `len` bytes: of the 8 in `window`, read at
 * `levels->at`, those up to the end of a level (bytes after the text do not count). The
 * first `reach` <= MAX_LEVELS levels get a hash. Returns whether the text has ended: then
 * `count` is the number of levels, or `reach` + 1 if there are more.
 *
 * A level's words beyond MAX_TOPIC are left out; its hash still shows that it is longer
 * than all levels that a shape knows.
 */
static __always_inline int level_step(const struct topic_keys *keys,
				      struct topic_levels *levels, __u64 window,
				      __u32 len, __u32 reach)
{
	__u32 at = levels->at, begin = levels->begin, count = levels->count;
	__u32 word = (at - begin) / 8, left = len - at;
	__u32 take = bytes_before(bytes_equal(window, '/'));

	if (take > left)
		take = left;
	if (take && word < TOPIC_WORDS)
		sum_add(&levels->sum, word_key(keys, word),
			take < 8 ? first_bytes(window, take) : window);
	at += take;
	levels->at = at;
	if (take == 8 && at != len)
		return 0; /* the level continues */
	if (count >= MAX_LEVELS)
		return 1; /* for the verifier; cannot happen */
	levels->hash[count] = sum_hash(keys, &levels->sum, at - begin);
	levels->count = ++count;
	if (at == len)
		return 1;
	levels->at = at + 1; /* skips the slash */
	if (count == reach) {
		levels->count = count + 1;
		return 1;
	}
	level_begin(keys, levels);
	return 0;
}

/* Steps that the longest topic needs: each takes 8 bytes or ends a level. */
#define LEVEL_STEPS (TOPIC_WORDS + MAX_LEVELS)

/* Whether filters of this shape may match a topic with so many levels: MQTT 5.0 §4.7.1.
 * Filters that begin with a wildcard do not match topics that begin with `$` (§4.7.2).
 */
static __always_inline int shape_fits(const struct topic_shape *shape, __u32 levels,
				      int dollar)
{
	if (dollar && (shape->levels == 0 || (shape->plus & 1)))
		return 0;
	return shape->rest ? levels >= shape->levels : levels == shape->levels;
}

/* The bit of a name in a shape's `names`, by the hash of its level. */
static __always_inline __u64 name_bit(__u64 hash)
{
	return 1ull << (hash & 63);
}

/* Whether a filter of this shape, which fits the topic, may have the topic's name at its
 * last literal level. For most shapes this is false, and no look-up is needed.
 */
static __always_inline int may_name(const struct topic_shape *shape,
				    const struct topic_levels *levels)
{
	return (shape->names & name_bit(levels->hash[shape->named % MAX_LEVELS])) != 0;
}

/* The hash of the literal levels of a shape: the same for a filter and for all topics
 * that it matches.
 */
static __always_inline __u64 shape_hash(const struct topic_keys *keys,
					const struct topic_shape *shape,
					const struct topic_levels *levels)
{
	struct topic_sum sum;
	__u32 i;

	sum_begin(keys, &sum);
	for (i = 0; i < MAX_LEVELS; i++) {
		if (i >= shape->levels)
			break;
		if (!(shape->plus >> i & 1))
			sum_add(&sum, &keys->level[2 * i], levels->hash[i]);
	}
	return sum_hash(keys, &sum, 0);
}
