/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Judges the topics of a segment against the group of its flow: what the client
 * teaches, what is reported, and what becomes of a mispredicted connection.
 * All of it is kernel state, so that it holds while no daemon runs.
 *
 * The usual PUBLISH is told by its hash alone and makes no call. What comes behind
 * is not inlined, because stack is short (512 bytes for a whole chain of calls).
 */
#pragma once

#include "bpf/mqtt.h"
#include "xdp/match.h"
#include "xdp/steering.h"

#define NS_PER_S 1000000000ull
/* What a record has room for that is written in the ring, bytes. */
#define SHORT_TOPIC 64

static __always_inline struct client_key client_of(const struct flow_key *flow)
{
	struct client_key key = { flow->client, flow->service, 0 };

	return key;
}

/* Whether `period_ns` have passed. Another CPU's clock may be a tick ahead. */
static __always_inline int is_over(__u64 began_ns, __u64 now_ns, __u64 period_ns)
{
	return (__s64)(now_ns - began_ns) >= (__s64)period_ns;
}

/* Takes one token of the bucket that bounds all resets. */
static __always_inline int take_token(__u32 per_second, __u64 now_ns)
{
	__u32 zero = 0, taken = 0;
	struct locked_budget *budget = bpf_map_lookup_elem(&reset_budget, &zero);

	if (!budget)
		return 0;
	bpf_spin_lock(&budget->lock);
	if (is_over(budget->filled_at_ns, now_ns, NS_PER_S)) {
		budget->filled_at_ns = now_ns;
		budget->tokens = per_second;
	}
	if (budget->tokens > 0) {
		budget->tokens--;
		taken = 1;
	}
	bpf_spin_unlock(&budget->lock);
	return taken;
}

/* Counts a reset against the client. Returns 0 when it had its share. */
static __always_inline int may_reset(const struct steering *s)
{
	struct guard *guard = bpf_map_lookup_elem(&guards, &s->key->client);

	if (!guard || (s->flow->flags & FLOW_KEPT)) {
		count(COUNT_KEPT_CLIENT);
		return 0;
	}
	if (is_over(guard->window_began_ns, s->now_ns, RESET_WINDOW_S * NS_PER_S)) {
		guard->window_began_ns = s->now_ns;
		guard->resets = 0;
	}
	if (guard->resets >= s->set->resets_per_client) {
		s->flow->flags |= FLOW_KEPT;
		count(COUNT_KEPT_CLIENT);
		return 0;
	}
	if (!take_token(s->set->resets_per_second, s->now_ns)) {
		count(COUNT_KEPT_RATE);
		return 0;
	}
	__sync_fetch_and_add(&guard->resets, 1);
	return 1;
}

/* What to do with a PUBLISH that belongs to `group`. */
static __noinline __u8 decide(const struct steering *s, __u32 group, __u8 *flags)
{
	const struct group *target = find_group(group);
	__u8 policy = target ? target->policy : POLICY_KEEP;

	if (policy == POLICY_KEEP) {
		count(COUNT_KEPT_POLICY);
		return ACTION_KEPT;
	}
	if (policy == POLICY_DROP) {
		count(COUNT_DROPPED_POLICY);
		return ACTION_DROPPED;
	}
	if (!may_reset(s)) {
		*flags |= EVENT_OVER_LIMIT;
		return ACTION_KEPT;
	}
	count(COUNT_RESET);
	return ACTION_RESET;
}

/* Writes the prediction, so that the client's very next SYN is right. Returns
 * whether the client or its topic is new.
 */
static __always_inline int teach(const struct steering *s, __u64 hash, __u16 group)
{
	struct scratch *scratch = s->scratch;
	struct prediction *known;

	scratch->client_key = client_of(s->key);
	known = bpf_map_lookup_elem(&predictions, &scratch->client_key);
	if (known && known->topic_hash == hash && known->group == group) {
		known->seen_at_ns = s->now_ns;
		return 0;
	}
	if (!(s->flow->flags & FLOW_TAUGHT)) {
		s->flow->flags |= FLOW_TAUGHT;
		s->flow->prior_group = known ? known->group : NO_GROUP;
	}
	if (known) {
		known->group = group;
		known->topic_hash = hash;
		known->seen_at_ns = s->now_ns;
	} else {
		scratch->prediction.topic_hash = hash;
		scratch->prediction.seen_at_ns = s->now_ns;
		scratch->prediction.group = group;
		bpf_map_update_elem(&predictions, &scratch->client_key,
				    &scratch->prediction, BPF_ANY);
	}
	count(COUNT_LEARNED);
	return 1;
}

static __always_inline void fill_event(struct event *event, const struct steering *s,
				       __u8 action, __u8 flags, __u16 group,
				       __u32 topic_len)
{
	/* The options mean nothing where there are none. */
	__builtin_memset(event, 0, __builtin_offsetof(struct event, options));
	event->seen_at_ns = s->now_ns;
	event->flow = *s->key;
	event->seq = s->flow->stream.topic;
	event->from_group = s->flow->group;
	event->to_group = group;
	event->topic_len = topic_len;
	event->data_len = topic_len;
	event->action = action;
	event->flags = flags;
}

/* Sends the text in the scratch to the daemon. */
static __noinline void report(const struct steering *s, __u8 action, __u8 flags,
			      __u16 group, __u32 topic_len)
{
	struct event *event;

	/* Most topics are written where they are read: that saves a copy. */
	if (topic_len <= SHORT_TOPIC) {
		event = bpf_ringbuf_reserve(&events, sizeof(*event) + SHORT_TOPIC, 0);
		if (!event) {
			count(COUNT_EVENT_LOST);
			return;
		}
		fill_event(event, s, action, flags, group, topic_len);
		__builtin_memcpy(event + 1, s->scratch->topic, SHORT_TOPIC);
		bpf_ringbuf_submit(event, 0);
		return;
	}
	FORGET(topic_len);
	if (topic_len > MAX_TOPIC)
		return;
	event = &s->scratch->event;
	fill_event(event, s, action, flags, group, topic_len);
	if (bpf_ringbuf_output(&events, event, sizeof(*event) + topic_len, 0))
		count(COUNT_EVENT_LOST);
}

/* A topic that is new to its flow, or routes that are; its text and its hash are in the
 * scratch. Returns whether the walk is over.
 */
static __noinline int judge(struct steering *s, __u32 topic_len)
{
	struct walking *at = &s->scratch->walking;
	__u64 hash = at->hash;
	struct flow *flow = s->flow;
	__u32 group, generation = s->set->generation;
	__u8 action = ACTION_LEARNED, flags = 0;
	int news;

	group = match_topic(s->scratch, generation, hash, topic_len);
	if (group == INVALID_TOPIC) {
		count(COUNT_TOPIC_INVALID);
		return 0;
	}
	if (group == UNSURE_TOPIC) {
		count(COUNT_TOPIC_LEFT);
		/* The daemon learns it once. */
		flow->topic_hash = hash;
		flow->generation = generation;
		report(s, ACTION_UNJUDGED, 0, NO_GROUP, topic_len);
		return 0;
	}
	if (group == NO_GROUP)
		group = at->default_group;
	count(COUNT_JUDGED);

	news = teach(s, hash, group);
	flow->topic_hash = hash;
	flow->generation = generation;
	if (group != flow->group) {
		count(COUNT_MISPREDICT);
		action = decide(s, group, &flags);
		if (action != ACTION_KEPT) {
			at->to_group = group;
			at->action = action;
			if (at->apart)
				report(s, action, EVENT_TOPIC_APART, group, topic_len);
			return 1;
		}
	}
	/* A connection kept for want of tokens is judged again next time: no routes
	 * have the generation 0.
	 */
	if (flags & EVENT_OVER_LIMIT && !(flow->flags & FLOW_KEPT)) {
		flow->generation = 0;
		if (!news)
			return 0;
	}
	if (news || action == ACTION_KEPT)
		report(s, action, flags, group, topic_len);
	return 0;
}

/* Whether the flow's last verdict holds for a topic with this hash. */
static __always_inline int is_judged(const struct steering *s, __u64 hash)
{
	return hash == s->flow->topic_hash && s->flow->generation == s->set->generation;
}

/* Copies payload to `to`, which has room for `most` bytes: from the segment, or
 * from `early` when the walk has come to one. Returns 0 on success.
 */
static __always_inline long load(const struct steering *s,
				 const struct early_segment *early, __u32 offset,
				 void *to, __u32 len, __u32 most)
{
	__u32 last = len - 1;

	/* Compared as it is, so that the verifier of 6.1 and 6.12 bounds `len` by it. */
	FORGET(last);
	if (last >= most)
		return -1;
	if (!early)
		return bpf_xdp_load_bytes(s->ctx,
					  s->scratch->walking.payload_offset + offset, to,
					  last + 1);
	FORGET(offset);
	if (offset >= EARLY_BYTES)
		return -1;
	return bpf_probe_read_kernel(to, last + 1, early->bytes + offset);
}

static __always_inline const struct topic_key *key_of_text(const struct steering *s,
							   __u16 alias)
{
	struct topic_key *key = &s->scratch->topic_key;

	key->flow = *s->key;
	key->alias = alias;
	key->pad = 0;
	return key;
}

static __always_inline const struct early_key *key_of_early(const struct steering *s,
							    __u32 seq)
{
	struct early_key *key = &s->scratch->early_key;

	key->flow = *s->key;
	key->seq = seq;
	return key;
}

static __always_inline struct topic_text *find_text(const struct steering *s, __u16 alias)
{
	return bpf_map_lookup_elem(&topics, key_of_text(s, alias));
}

/* Tells the aliases that hold from those of a former connection of the same port, and
 * from those before the stream was blind.
 */
static __always_inline __u32 mark_of_aliases(const struct flow *flow)
{
	return flow->isn + (flow->stream.flags & STREAM_GAPS) / STREAM_GAP;
}

/* Writes the text in the scratch to `topics`. */
static __noinline void keep_text(const struct steering *s, __u16 alias, __u64 hash,
				 __u32 have)
{
	const struct stream *stream = &s->flow->stream;

	s->scratch->text.hash = hash;
	s->scratch->text.seq = alias ? mark_of_aliases(s->flow) : stream->topic;
	s->scratch->text.len = stream->topic_len;
	s->scratch->text.have = have;
	bpf_map_update_elem(&topics, key_of_text(s, alias), s->scratch->topic, BPF_ANY);
}

/* Puts what is known of the topic at hand into the scratch: what earlier segments
 * brought, then its part in the segment of `len` bytes at `seq`. Returns how many
 * bytes that are; 0 when the beginning is lost.
 */
static __noinline __u32 collect_topic(const struct steering *s,
				      const struct early_segment *early, __u32 seq,
				      __u32 len)
{
	const struct stream *stream = &s->flow->stream;
	struct topic_part part = part_of_topic(stream, seq, len);
	struct scratch *scratch = s->scratch;
	__u32 have = part.from, repeated;

	if (have) {
		const struct topic_text *kept = find_text(s, 0);

		if (!kept || kept->seq != stream->topic || kept->have < have)
			return 0;
		repeated = kept->have - have;
		if (repeated > part.len)
			repeated = part.len;
		have = kept->have;
		part.offset += repeated;
		part.len -= repeated;
		bpf_probe_read_kernel(scratch->topic, sizeof(scratch->topic),
				      kept->words);
	}
	if (!part.len)
		return have;
	FORGET(have);
	if (have > MAX_TOPIC || load(s, early, part.offset, (__u8 *)scratch->topic + have,
				     part.len, MAX_TOPIC))
		return 0;
	return have + part.len;
}

/* A piece of a topic that is longer than the kernel reads goes to the daemon. Returns
 * 0 on success.
 */
static __noinline long send_piece(const struct steering *s,
				  const struct early_segment *early, __u32 seq, __u32 len)
{
	const struct stream *stream = &s->flow->stream;
	struct topic_part part = part_of_topic(stream, seq, len);
	struct event *event = &s->scratch->event;

	if (!part.len)
		return 0;
	if (load(s, early, part.offset, s->scratch->topic, part.len, TEXT_ROOM))
		return -1;
	__builtin_memset(event, 0, sizeof(*event));
	event->seen_at_ns = bpf_ktime_get_ns();
	event->flow = *s->key;
	event->seq = stream->topic;
	event->from_group = s->flow->group;
	event->to_group = NO_GROUP;
	event->topic_offset = part.from;
	event->topic_len = stream->topic_len;
	event->data_len = part.len;
	event->action = ACTION_UNJUDGED;
	part.len--;
	FORGET(part.len);
	if (part.len >= TEXT_ROOM)
		return -1;
	return bpf_ringbuf_output(&events, event, sizeof(*event) + part.len + 1, 0);
}

static __always_inline void leave_piece(const struct steering *s,
					const struct early_segment *early, __u32 seq,
					__u32 len)
{
	if (send_piece(s, early, seq, len))
		count(COUNT_EVENT_LOST);
}

/* A segment has ended within a PUBLISH: what it shows of the topic is kept. */
static __noinline void keep_topic(const struct steering *s,
				  const struct early_segment *early, __u32 seq, __u32 len)
{
	const struct topic_text *kept;
	__u32 have;

	if (s->flow->stream.topic_len > MAX_TOPIC) {
		leave_piece(s, early, seq, len);
		return;
	}
	have = collect_topic(s, early, seq, len);
	kept = find_text(s, 0);
	/* An early segment may show less than one before it did. */
	if (have && !(kept && kept->seq == s->flow->stream.topic && kept->have >= have))
		keep_text(s, 0, 0, have);
}

/* The hash of the text in the scratch. Verified on its own. */
__noinline __u64 hash_text(__u32 len)
{
	struct scratch *scratch = own_scratch();
	const struct topic_keys *keys = the_keys();

	__u32 last = len - 1;

	/* Compared as it is, so that the verifier of 6.1 and 6.12 bounds `len` by it. */
	FORGET(last);
	if (!scratch || !keys || last >= MAX_TOPIC)
		return 0;
	return topic_hash(keys, scratch->topic, last + 1);
}

/* What an alias stands for on this connection; a former one of the same port may have
 * left its own.
 */
static __always_inline const struct topic_text *find_alias(const struct steering *s,
							   __u16 alias)
{
	const struct topic_text *known = find_text(s, alias);

	if ((s->flow->stream.flags & STREAM_GAPS) == STREAM_GAPS)
		return 0; /* too many to be told apart */
	return known && known->seq == mark_of_aliases(s->flow) ? known : 0;
}

/* A PUBLISH without a topic: its alias stands for one (MQTT 5.0 §3.3.2.3.4). As
 * gather_topic().
 */
static __always_inline __u32 recall_alias(struct steering *s, __u16 alias)
{
	const struct topic_text *known = find_alias(s, alias);

	if (!known) {
		count(COUNT_TOPIC_ALIAS);
		return 0;
	}
	if (is_judged(s, known->hash))
		return 0;
	bpf_probe_read_kernel(s->scratch->topic, sizeof(s->scratch->topic), known->words);
	s->scratch->walking.apart = 1;
	s->scratch->walking.hash = known->hash;
	return known->len;
}

/* The topic in the scratch has an alias from now on. */
static __noinline void learn_alias(const struct steering *s, __u16 alias, __u64 hash,
				   __u32 len)
{
	const struct topic_text *known = find_alias(s, alias);

	if (alias <= MAX_ALIAS && (!known || known->hash != hash))
		keep_text(s, alias, hash, len);
}

/* The topic that the alias, if there is one, has from now on is not known. */
static __always_inline void forget_alias(const struct steering *s, __u16 alias)
{
	if (alias)
		bpf_map_delete_elem(&topics, key_of_text(s, alias));
}

/* The PUBLISH just found, when it takes more than a look at its segment: the topic
 * spans segments, has an alias, is an alias, or lies in an early segment. Puts text and
 * hash into the scratch. Returns the topic's length, 0 when there is nothing to judge.
 */
static __noinline __u32 gather_topic(struct steering *s,
				     const struct early_segment *early, __u32 seq,
				     __u32 segment_len)
{
	struct walking *at = &s->scratch->walking;
	__u32 len = at->found.topic_len;
	__u16 alias = at->found.alias;

	if (len == 0) {
		if (alias)
			return recall_alias(s, alias);
		count(COUNT_TOPIC_INVALID);
		return 0;
	}
	if (len > MAX_TOPIC) {
		count(COUNT_TOPIC_LEFT);
		leave_piece(s, early, seq, segment_len);
		forget_alias(s, alias);
		return 0;
	}
	if (collect_topic(s, early, seq, segment_len) != len) {
		count(COUNT_TOPIC_LOST);
		forget_alias(s, alias);
		return 0;
	}
	at->hash = hash_text(len);
	at->apart = early || at->found.topic_offset < 0;
	if (alias)
		learn_alias(s, alias, at->hash, len);
	return is_judged(s, at->hash) ? 0 : len;
}

/* The hash of the topic of `len` bytes at `offset` of the payload, where it lies; 0
 * when it is empty or too long.
 */
static __always_inline __u64 hash_in_place(const struct steering *s, __u32 offset,
					   __u32 len)
{
	return hash_topic(s->ctx, s->scratch->walking.payload_offset + offset, len);
}

/* The PUBLISH just found in the segment. Returns whether the walk is over. */
static __always_inline int look_at_topic(struct steering *s)
{
	struct walking *at = &s->scratch->walking;
	__u32 len = at->found.topic_len;

	count(COUNT_PUBLISH);
	at->hash = at->found.topic_offset < 0 || at->found.alias
			   ? 0
			   : hash_in_place(s, at->found.topic_offset, len);
	if (at->hash) {
		if (is_judged(s, at->hash) ||
		    take_topic(s->ctx, at->payload_offset + at->found.topic_offset, len))
			return 0;
		at->apart = 0;
	} else {
		len = gather_topic(s, 0, at->seq, at->payload_len);
	}
	return len ? judge(s, len) : 0;
}

/* The payload bytes at `offset`, at most MQTT_WINDOW of the `left` ones, the first
 * in the lowest byte. Returns 0 on success.
 */
static __always_inline long load_window(const struct steering *s, __u32 offset,
					__u32 left, __u64 *window)
{
	const struct walking *at = &s->scratch->walking;
	const __u64 *bytes =
		(void *)(long)s->ctx->data + ((at->payload_offset + offset) & FRAME_MASK);

	if (left >= MQTT_WINDOW &&
	    (void *)(bytes + 1) <= (void *)(long)s->ctx->data_end) {
		*window = *bytes;
		return 0;
	}
	return load(s, 0, offset, window, left, MQTT_WINDOW);
}

static __always_inline void lose_boundaries(struct flow *flow)
{
	flow->stream.blind = 1;
	flow->flags &= ~FLOW_EARLY;
	flow->early = 0;
}

/* One field of the segment's MQTT packets. Returns whether the walk is over. */
static __always_inline int walk_field(struct steering *s)
{
	struct walking *at = &s->scratch->walking;
	struct stream *stream = &s->flow->stream;
	__u32 offset = stream_wants(stream) - at->seq, left = at->payload_len - offset;
	__u64 window = 0;

	if (offset >= at->payload_len || load_window(s, offset, left, &window))
		return 1;
	if (left > MQTT_WINDOW)
		left = MQTT_WINDOW;

	switch (walk_step(stream, at->seq, at->payload_len, window, left, &at->found)) {
	case FOUND_CUT:
		return 1;
	case FOUND_BAD:
		count(COUNT_MALFORMED);
		lose_boundaries(s->flow);
		return 1;
	case FOUND_PUBLISH:
		if (look_at_topic(s))
			return 1;
		break;
	case FOUND_NOTHING:
	case FOUND_OTHER:
		break;
	}
	return stream_wants(stream) - at->seq >= at->payload_len;
}

/* The same for bpf_loop(). */
static long walk_next(__u32 index, void *steering)
{
	return walk_field(steering);
}

/* One field of an early segment. */
static __always_inline int walk_early(struct steering *s,
				      const struct early_segment *early, __u32 seq,
				      __u32 len, __u32 offset)
{
	struct walking *at = &s->scratch->walking;
	__u32 left = len - offset;

	FORGET(offset);
	if (offset >= EARLY_BYTES)
		return 1;
	if (left > MQTT_WINDOW)
		left = MQTT_WINDOW;
	switch (walk_step(&s->flow->stream, seq, len,
			  *(const __u64 *)(early->bytes + offset), left, &at->found)) {
	case FOUND_BAD:
		count(COUNT_MALFORMED);
		lose_boundaries(s->flow);
		return 1;
	case FOUND_PUBLISH:
		count(COUNT_PUBLISH);
		len = gather_topic(s, early, seq, len);
		return len ? judge(s, len) : 0;
	default:
		return 0;
	}
}

static __always_inline struct early_segment *find_early(const struct steering *s,
							__u32 seq)
{
	return bpf_map_lookup_elem(&early_segments, key_of_early(s, seq));
}

/* A step of the walk over the early segments that the stream has come to, for
 * bpf_loop(): a field, or on to the next of them.
 */
static long replay_next(__u32 index, void *steering)
{
	struct steering *s = steering;
	struct flow *flow = s->flow;
	__u32 seq = flow->first_early, offset = stream_wants(&flow->stream) - seq, next;
	const struct early_segment *early;

	if ((__s32)offset < 0)
		return 1;
	early = find_early(s, seq);
	if (!early) {
		lose_boundaries(flow); /* pushed out */
		return 1;
	}
	if (offset < early->len) {
		s->scratch->walking.in_early = 1;
		return walk_early(s, early, seq, early->len, offset);
	}
	if (flow->stream.phase >= STREAM_TOPIC)
		keep_topic(s, early, seq, early->len);
	count(COUNT_EARLY_JUDGED);
	next = early->next;
	bpf_map_delete_elem(&early_segments, key_of_early(s, seq));
	flow->first_early = next;
	if (next != seq)
		return 0;
	flow->flags &= ~FLOW_EARLY;
	return 1;
}
