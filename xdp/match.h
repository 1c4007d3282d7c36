/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Maps a topic to its group: the exact route, or the most specific matching filter with
 * wildcards, or the service's default. Runs only when a client is new on its
 * connection, changes its topic, or the routes changed.
 *
 * The topic is in the scratch. Functions that are not static are verified on their own,
 * once for all callers; they return at least 0.
 */
#pragma once

#include "xdp/stage_maps.h"
#include "xdp/work.h"

/* Not a group number: a filter that the kernel does not know may match the topic. */
#define UNSURE_TOPIC 0x10000
/* Not a group number either. */
#define INVALID_TOPIC 0x10001

/* Mask of offsets in a frame, for the verifier: covers any driver's XDP frame. */
#define FRAME_MASK 0x3fff

/* The latest verdicts by the hash of the topic, per CPU, so that a client with several
 * topics is judged quickly.
 */
struct verdict {
	__u64 hash;
	__u32 generation; /* of the routes */
	__u32 group;	  /* NO_GROUP: no route matches */
};

#define VERDICTS 1024

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICTS);
	__type(key, __u32);
	__type(value, struct verdict);
} verdicts SEC(".maps");

static __always_inline const struct shape_set *the_shapes(__u32 generation)
{
	__u32 half = generation & 1;

	return bpf_map_lookup_elem(&shape_sets, &half);
}

/* Number of words of a topic that are hashed without a loop and a call. */
#define FEW_WORDS 28

/* Adds the 8 bytes at `bytes` with the keys in `*pair`, which then becomes those at
 * `next`. Two loads are faster than a load and shifts. Each sum is forced into its own
 * step: otherwise the compiler would combine the products of several words, for which
 * there are too few registers.
 */
static __always_inline void add_word(struct topic_sum *sum, struct key_pair *pair,
				     const __u64 *next, const __u64 *bytes)
{
	const __u32 *halves = (const __u32 *)bytes;
	struct key_pair following = pair_at(next);

	sum_halves(sum, *pair, following, halves[0], halves[1]);
	FORGET(sum->half[0]);
	FORGET(sum->half[1]);
	*pair = following;
}

/* Adds four words at once, so that most of the time is spent on the sums. */
static __always_inline void add_four(struct topic_sum *sum, struct key_pair *pair,
				     const __u64 *key, const __u64 *word)
{
	add_word(sum, pair, key + 2, word);
	add_word(sum, pair, key + 4, word + 1);
	add_word(sum, pair, key + 6, word + 2);
	add_word(sum, pair, key + 8, word + 3);
}

/* Adds the bytes after the whole words of a topic of `len` bytes. `last` are its last 8
 * bytes; they can always be read, because more than 8 bytes of headers precede a topic.
 */
static __always_inline __u64 end_of_hash(const struct topic_keys *keys,
					 struct topic_sum *sum, __u64 last, __u32 len)
{
	__u32 whole = len / 8;

	FORGET(whole);
	if (whole >= TOPIC_ROOM)
		return 0;
	if (len & 7)
		sum_add(sum, word_key(keys, whole), last >> (8 * (8 - (len & 7))));
	return sum_hash(keys, sum, len);
}

/* The hash of the `len` bytes of topic at `offset` in the frame, read word by word in
 * place; 0 if there is none. Verified on its own: every copy of the loop would cost the
 * verifier as much as the rest of the stage.
 */
__noinline __u64 hash_in_place(struct xdp_md *ctx, __u32 offset, __u32 len)
{
	const void *data = (void *)(long)ctx->data;
	const void *data_end = (void *)(long)ctx->data_end;
	const __u64 *word = data + (offset & FRAME_MASK);
	const __u64 *last = data + ((offset + len - sizeof(*last)) & FRAME_MASK);
	const struct topic_keys *keys = the_keys();
	struct topic_sum sum;
	struct key_pair pair;
	const __u64 *key;
	__u32 i;

	if (!keys || len == 0 || len > MAX_TOPIC || (void *)(last + 1) > data_end)
		return 0;
	sum_begin(keys, &sum);
	key = word_key(keys, 0);
	pair = pair_at(key);
	for (i = 0; i < TOPIC_WORDS; i += 4, word += 4, key += 8) {
		if (8 * i + 32 > len)
			break;
		if ((void *)(word + 4) > data_end)
			return 0;
		add_four(&sum, &pair, key, word);
	}
	for (; i < TOPIC_WORDS; i++, word++, key += 2) {
		if (8 * i + 8 > len)
			break;
		if ((void *)(word + 1) > data_end)
			return 0;
		add_word(&sum, &pair, key + 2, word);
	}
	return end_of_hash(keys, &sum, *last, len);
}

/* Whether `x` is at least `least`. Tells the verifier nothing about `x`: otherwise it
 * would follow all later code once for every length of a topic.
 */
static __always_inline int reaches(__u32 x, __u32 least)
{
	asm volatile("%0 |= 0" : "+r"(x));
	return x >= least;
}

/* The hash of a topic that is not empty, on the path of most packets. */
static __always_inline __u64 hash_topic(struct xdp_md *ctx, __u32 offset, __u32 len)
{
	const void *data = (void *)(long)ctx->data;
	const void *data_end = (void *)(long)ctx->data_end;
	const __u64 *word = data + (offset & FRAME_MASK);
	const __u64 *last = data + ((offset + len - sizeof(*last)) & FRAME_MASK);
	const struct topic_keys *keys;
	const __u64 *key;
	struct topic_sum sum;
	struct key_pair pair;
	__u32 whole = len / 8, odd, i;

	if (whole > FEW_WORDS)
		return hash_in_place(ctx, offset, len);
	keys = the_keys();
	if (!keys || (void *)(last + 1) > data_end)
		return 0;
	sum_begin(keys, &sum);
	key = word_key(keys, 0);
	pair = pair_at(key);
	/* Words that do not fill a group of four come first, so that only the rest
	 * follows.
	 */
	odd = whole % 4;
#pragma unroll
	for (i = 0; i < 3; i++) {
		if (!reaches(odd, i + 1))
			break;
		if ((void *)(word + i + 1) > data_end)
			return 0;
		add_word(&sum, &pair, key + 2 * i + 2, word + i);
	}
	word += odd;
	key += 2 * odd;
#pragma unroll
	for (i = 0; i < FEW_WORDS; i += 4) {
		if (!reaches(whole, i + 4))
			break;
		if ((void *)(word + i + 4) > data_end)
			return 0;
		add_four(&sum, &pair, key + 2 * i, word + i);
	}
	keys = the_keys();
	return keys ? end_of_hash(keys, &sum, *last, len) : 0;
}

/* Copies the `len` bytes of topic at `offset` in the frame into the scratch, word by
 * word, as hash_topic() reads them. Returns 0 on success.
 */
__noinline int take_topic(struct xdp_md *ctx, __u32 offset, __u32 len)
{
	const void *data = (void *)(long)ctx->data;
	const void *data_end = (void *)(long)ctx->data_end;
	const __u64 *word = data + (offset & FRAME_MASK);
	const __u64 *last = data + ((offset + len - sizeof(*last)) & FRAME_MASK);
	struct scratch *scratch = own_scratch();
	__u32 i;

	if (!scratch || len == 0 || len > MAX_TOPIC || (void *)(last + 1) > data_end)
		return -1;
	for (i = 0; i < TOPIC_WORDS; i++, word++) {
		if (8 * i + 8 > len)
			break;
		if ((void *)(word + 1) > data_end)
			return -1;
		scratch->topic[i] = *word;
	}
	i = len / 8;
	FORGET(i);
	if (i >= TOPIC_ROOM)
		return -1;
	if (len & 7)
		scratch->topic[i] = *last >> (8 * (8 - (len & 7)));
	return 0;
}

/* Checks the bytes of the topic in the scratch. Returns enum topic_check. */
__noinline int check_text(__u32 len)
{
	struct scratch *scratch = own_scratch();

	if (!scratch || len > MAX_TOPIC)
		return TOPIC_BAD;
	return check_topic(scratch->topic, len);
}

/* Input to the checks of one topic. It has only pointers: everything else is in the
 * scratch, where the verifier forgets it between two steps, and where it needs no stack.
 */
struct match {
	struct scratch *scratch;
	const struct topic_keys *keys;
	const struct shape_set *set;
};

static long next_utf8(__u32 index, void *arg)
{
	struct scratch *scratch = ((const struct match *)arg)->scratch;

	utf8_step(&scratch->matching.utf8, scratch->topic, index, scratch->matching.len);
	return scratch->matching.utf8.bad != 0;
}

__noinline int is_utf8_in_scratch(__u32 len)
{
	struct match match = { own_scratch(), 0, 0 };
	struct matching *matching;

	if (!match.scratch || len > MAX_TOPIC)
		return 0;
	matching = &match.scratch->matching;
	matching->len = len;
	charge(match.scratch, UTF8_STEPS(len) * WORK_STEP);
	matching->utf8.before = 0;
	matching->utf8.bad = 0;
	bpf_loop(UTF8_STEPS(len), next_utf8, &match, 0);
	return matching->utf8.bad == 0;
}

/* Whether the topic of `len` bytes in the scratch is a valid topic name. */
static __always_inline int is_topic_name(__u32 len)
{
	int check = check_text(len);

	return check == TOPIC_NOT_ASCII ? is_utf8_in_scratch(len) : check == TOPIC_GOOD;
}

static long next_level(__u32 index, void *arg)
{
	const struct match *match = arg;
	struct matching *matching = &match->scratch->matching;
	__u32 at = matching->levels.at;

	FORGET(at);
	if (at > MAX_TOPIC)
		return 1; /* for the verifier; cannot happen */
	return level_step(match->keys, &matching->levels,
			  *(__u64 *)((char *)match->scratch->topic + at), matching->len,
			  match->set->reach);
}

/* Notes the shapes through which the topic may have a route. They are in the scratch,
 * where the verifier forgets them: otherwise it would follow the loop once for each set
 * of them.
 */
static __always_inline void find_candidates(const struct match *match)
{
	struct matching *matching = &match->scratch->matching;

	matching->candidates = 0;
	for (__u32 i = 0; i < MAX_SHAPES; i++) {
		const struct topic_shape *shape = &match->set->shapes[i];

		if (i >= match->set->count)
			break;
		if (shape_fits(shape, matching->levels.count, 0) &&
		    may_name(shape, &matching->levels))
			matching->candidates |= 1ull << i;
	}
}

/* Looks for a route through the next candidate, for bpf_loop(). */
static long try_shape(__u32 index, void *arg)
{
	const struct match *match = arg;
	struct matching *matching = &match->scratch->matching;
	__u64 candidates = matching->candidates;
	const struct topic_shape *shape;
	const struct route *route;
	__u32 number;

	if (!candidates)
		return 1;
	charge(match->scratch, WORK_LOOK_UP);
	number = lowest_bit(candidates);
	matching->candidates = candidates & (candidates - 1);
	shape = &match->set->shapes[number % MAX_SHAPES]; /* for the verifier */
	if (!shape_fits(shape, matching->levels.count,
			(__u8)match->scratch->topic[0] == '$'))
		return 0;
	matching->route = route_key(shape_hash(match->keys, shape, &matching->levels),
				    matching->generation, number + 1);
	route = bpf_map_lookup_elem(&routes, &matching->route);
	if (!route)
		return 0;
	matching->group = route->group;
	return 1;
}

/* The group of the first shape through which a filter matches the topic in the scratch.
 */
__noinline __u32 match_shapes(__u32 generation, __u32 len)
{
	struct match match = { own_scratch(), the_keys(), the_shapes(generation) };
	struct matching *matching;

	if (!match.scratch || !match.keys || !match.set)
		return NO_GROUP;
	matching = &match.scratch->matching;
	matching->generation = generation;
	matching->len = len;
	matching->group = NO_GROUP;
	matching->levels.at = 0;
	matching->levels.count = 0;
	level_begin(match.keys, &matching->levels);
	bpf_loop(LEVEL_STEPS, next_level, &match, 0);
	charge(match.scratch,
	       (matching->levels.at / 8 + matching->levels.count) * WORK_STEP +
		       match.set->count / 2 * WORK_SHAPES);
	if (match.set->deep && matching->levels.count > MAX_LEVELS)
		return UNSURE_TOPIC;
	find_candidates(&match);
	if (matching->candidates)
		bpf_loop(MAX_SHAPES, try_shape, &match, 0);
	return matching->group;
}

/* Looks for the group of the topic of `len` bytes in the scratch, whose hash is `hash`,
 * in the routes of one generation. A topic with a route of its own needs no check,
 * because routes have been checked.
 */
static __always_inline __u32 match_routes(struct scratch *scratch, __u32 generation,
					  __u64 hash, __u32 len)
{
	const struct shape_set *shapes;
	const struct route *route;

	charge(scratch, WORK_JUDGE + len / 64 * WORK_HASH);
	scratch->matching.route = route_key(hash, generation, EXACT_ROUTE);
	route = bpf_map_lookup_elem(&routes, &scratch->matching.route);
	if (route)
		return route->group;
	if (!is_topic_name(len))
		return INVALID_TOPIC;
	shapes = the_shapes(generation);
	return shapes && shapes->reach ? match_shapes(generation, len) : NO_GROUP;
}

/* The group of that topic. NO_GROUP if no route matches, UNSURE_TOPIC if the daemon must
 * judge it, INVALID_TOPIC if it is not a topic name.
 */
static __always_inline __u32 match_topic(struct scratch *scratch, __u32 generation,
					 __u64 hash, __u32 len)
{
	__u32 index = hash % VERDICTS, group;
	struct verdict *known = bpf_map_lookup_elem(&verdicts, &index);

	if (known && known->hash == hash && known->generation == generation) {
		charge(scratch, WORK_VERDICT);
		return known->group;
	}
	group = match_routes(scratch, generation, hash, len);
	if (known && group <= NO_GROUP) {
		known->hash = hash;
		known->generation = generation;
		known->group = group;
	}
	return group;
}
