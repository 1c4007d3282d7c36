/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Topic to group: the exact route, else the longest `prefix/#`, else `#`, else
 * the service's default. Runs only when a client is new on its connection,
 * changes its topic, or the routes changed.
 *
 * The topic lies in the scratch. The functions that are not static are verified
 * on their own, once, whatever calls them; they return at least 0.
 */
#pragma once

#include "xdp/flow_maps.h"

#define INVALID_TOPIC 0x10000 /* no group number */
/* Keeps the compiler from folding a check of `x` into earlier ones, which the
 * verifier (6.1, 6.18) would not connect with `x`. Where a length must not be 0
 * the index of the last byte is checked: 6.1 draws no lower bound from `len == 0`.
 */
#define FORGET(x) asm volatile("" : "+r"(x))

/* Offsets in a frame, for the verifier: more than any driver's XDP frame. */
#define FRAME_MASK 0x3fff

static __always_inline __u32 route_group(__u64 hash, __u32 generation, __u32 kind)
{
	struct route_key key = { hash, generation, kind };
	struct route *route = bpf_map_lookup_elem(&routes, &key);

	return route ? route->group : NO_GROUP;
}

/* The hash of the `len` bytes of topic at `offset` in the frame, word by word where
 * they lie; 0 for none. The last word is read so that it ends with the topic: in
 * front of a topic there are more than 8 bytes of headers.
 */
static __always_inline __u64 hash_topic(struct xdp_md *ctx, __u32 offset, __u32 len)
{
	const void *data = (void *)(long)ctx->data;
	const void *data_end = (void *)(long)ctx->data_end;
	const __u64 *word = data + (offset & FRAME_MASK);
	const __u64 *last = data + ((offset + len - sizeof(*last)) & FRAME_MASK);
	const struct topic_keys *keys = the_keys();
	struct topic_sum sum;
	__u32 i;

	if (!keys || len == 0 || len > MAX_TOPIC || (void *)(last + 1) > data_end)
		return 0;
	sum_begin(keys, &sum);
	for (i = 0; i < TOPIC_WORDS; i++, word++) {
		if (8 * i + 8 > len)
			break;
		if ((void *)(word + 1) > data_end)
			return 0;
		sum_word(keys, &sum, i, *word);
	}
	i = len / 8;
	FORGET(i);
	if (i >= TOPIC_ROOM)
		return 0;
	if (len & 7)
		sum_word(keys, &sum, i, *last >> (8 * (8 - (len & 7))));
	return sum_hash(keys, &sum, len);
}

/* One step of the walk over the separators, from the last to the first. */
static long match_prefix(__u32 index, void *arg)
{
	struct scratch *scratch = own_scratch();
	const struct topic_keys *keys = the_keys();
	const struct settings *set = the_settings();
	struct matching *match;
	struct topic_sum sum;
	__u32 word, length, in_word;
	__u64 last;

	if (!scratch || !keys || !set)
		return 1;
	match = &scratch->matching;
	word = match->word;
	if (!match->slashes) {
		match->word = --word;
		if (word >= TOPIC_WORDS)
			return 1; /* below the first */
		match->slashes = scratch->slashes[word];
		return 0;
	}

	/* The highest 0x80 that is left, in two steps for want of an instruction. */
	in_word = 0;
	last = match->slashes;
	if (last >> 32) {
		last >>= 32;
		in_word = 4;
	}
	if (last >> 16) {
		last >>= 16;
		in_word += 2;
	}
	if (last >> 8)
		in_word += 1;
	match->slashes = first_bytes(match->slashes, in_word);

	if (word >= TOPIC_WORDS)
		return 1; /* never; for the verifier */
	length = 8 * word + in_word;
	if (length >= set->prefix_reach)
		return 0;
	sum.half[0] = scratch->running[word][0];
	sum.half[1] = scratch->running[word][1];
	if (in_word)
		sum_word(keys, &sum, word, first_bytes(scratch->topic[word], in_word));
	match->group =
		route_group(sum_hash(keys, &sum, length), set->generation, ROUTE_PREFIX);
	return match->group != NO_GROUP;
}

/* Notes the sums in front of word `i` of the topic and its separators; `mask`
 * says which of its bytes belong to the topic. Returns the invalid ones.
 */
static __always_inline __u64 prepare_word(struct scratch *scratch,
					  const struct topic_keys *keys,
					  struct topic_sum *sum, __u32 i, __u64 mask)
{
	__u64 word = scratch->topic[i];

	scratch->running[i][0] = sum->half[0];
	scratch->running[i][1] = sum->half[1];
	scratch->slashes[i] = bytes_equal(word, '/') & mask;
	sum_word(keys, sum, i, word);
	return invalid_bytes(word) & mask;
}

/* Prepares the topic in the scratch for match_prefix(). Returns whether it is a
 * valid topic name.
 */
__noinline int prepare_topic(__u32 len)
{
	struct scratch *scratch = own_scratch();
	const struct topic_keys *keys = the_keys();
	struct topic_sum sum;
	__u64 bad = 0;
	__u32 i;

	if (!scratch || !keys || len == 0 || len > MAX_TOPIC)
		return 0;
	sum_begin(keys, &sum);
	for (i = 0; i < TOPIC_WORDS; i++) {
		if (8 * i + 8 > len)
			break;
		bad |= prepare_word(scratch, keys, &sum, i, ~0ull);
	}
	if (len & 7)
		bad |= prepare_word(scratch, keys, &sum, i, first_bytes(~0ull, len));
	return bad == 0;
}

/* The group of the prepared topic of `len` bytes, whose hash is `hash`; NO_GROUP when
 * no route matches.
 */
__noinline __u32 match_topic(__u64 hash, __u32 len)
{
	struct scratch *scratch = own_scratch();
	const struct settings *set = the_settings();
	__u32 group;

	if (!scratch || !set || len > MAX_TOPIC)
		return INVALID_TOPIC;

	group = route_group(hash, set->generation, ROUTE_EXACT);
	if (group != NO_GROUP)
		return group;
	if (set->prefix_reach) {
		/* `a/b/#` matches `a/b` too (MQTT 5.0 §4.7.1.2). */
		group = route_group(hash, set->generation, ROUTE_PREFIX);
		if (group != NO_GROUP)
			return group;
		scratch->matching.slashes = 0;
		scratch->matching.word = (len + 7) / 8;
		scratch->matching.group = NO_GROUP;
		bpf_loop(TOPIC_WORDS + MAX_TOPIC, match_prefix, 0, 0);
		if (scratch->matching.group != NO_GROUP)
			return scratch->matching.group;
	}
	/* A leading wildcard does not match `$`-topics (MQTT 5.0 §4.7.2). */
	return (__u8)scratch->topic[0] == '$' ? NO_GROUP : set->all_group;
}
