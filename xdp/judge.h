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

#define NS_PER_S 1000000000ull

/* A walk over the MQTT packets of one segment. What is not a pointer lies in the
 * scratch: stack is short, and the verifier forgets it there.
 */
struct walk {
	struct xdp_md *ctx;
	const struct flow_key *key;
	struct flow *flow;
	const struct settings *set;
	struct scratch *scratch;
	__u64 now_ns;
};

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
static __always_inline int may_reset(const struct walk *w)
{
	struct guard *guard = bpf_map_lookup_elem(&guards, &w->key->client);

	if (!guard || (w->flow->flags & FLOW_KEPT)) {
		count(COUNT_KEPT_CLIENT);
		return 0;
	}
	if (is_over(guard->window_began_ns, w->now_ns, RESET_WINDOW_S * NS_PER_S)) {
		guard->window_began_ns = w->now_ns;
		guard->resets = 0;
	}
	if (guard->resets >= w->set->resets_per_client) {
		w->flow->flags |= FLOW_KEPT;
		count(COUNT_KEPT_CLIENT);
		return 0;
	}
	if (!take_token(w->set->resets_per_second, w->now_ns)) {
		count(COUNT_KEPT_RATE);
		return 0;
	}
	__sync_fetch_and_add(&guard->resets, 1);
	return 1;
}

/* What to do with a PUBLISH that belongs to `group`. */
static __noinline __u8 decide(const struct walk *w, __u32 group, __u8 *flags)
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
	if (!may_reset(w)) {
		*flags |= EVENT_OVER_LIMIT;
		return ACTION_KEPT;
	}
	count(COUNT_RESET);
	return ACTION_RESET;
}

/* Writes the prediction, so that the client's very next SYN is right. Returns
 * whether the client or its topic is new.
 */
static __noinline int teach(const struct walk *w, __u64 hash, __u16 group)
{
	struct client_key key = client_of(w->key);
	struct prediction fresh = {};
	struct prediction *known = bpf_map_lookup_elem(&predictions, &key);

	if (known && known->topic_hash == hash && known->group == group) {
		known->seen_at_ns = w->now_ns;
		return 0;
	}
	if (!(w->flow->flags & FLOW_TAUGHT)) {
		w->flow->flags |= FLOW_TAUGHT;
		w->flow->prior_group = known ? known->group : NO_GROUP;
	}
	if (known) {
		known->group = group;
		known->topic_hash = hash;
		known->seen_at_ns = w->now_ns;
	} else {
		fresh.topic_hash = hash;
		fresh.seen_at_ns = w->now_ns;
		fresh.group = group;
		bpf_map_update_elem(&predictions, &key, &fresh, BPF_ANY);
	}
	count(COUNT_LEARNED);
	return 1;
}

/* Sends the topic in `scratch` to the daemon. */
static __noinline void report(const struct walk *w, __u8 action, __u8 flags, __u16 group,
			      __u32 topic_len)
{
	struct event *event = &w->scratch->event;

	FORGET(topic_len);
	if (topic_len > MAX_TOPIC)
		return;
	__builtin_memset(event, 0, sizeof(*event));
	event->seen_at_ns = bpf_ktime_get_ns();
	event->flow = *w->key;
	event->from_group = w->flow->group;
	event->to_group = group;
	event->topic_len = topic_len;
	event->data_len = topic_len;
	event->action = action;
	event->flags = flags;
	if (bpf_ringbuf_output(&events, event, sizeof(*event) + topic_len, 0))
		count(COUNT_EVENT_LOST);
}

/* A topic that is new to its flow, or routes that are. Returns whether the walk
 * is over.
 */
static __noinline int judge(struct walk *w, __u64 hash, __u32 topic_len)
{
	struct flow *flow = w->flow;
	__u32 group;
	__u8 action = ACTION_LEARNED, flags = 0;
	int news;

	group = prepare_topic(topic_len) ? match_topic(hash, topic_len) : INVALID_TOPIC;
	if (group >= INVALID_TOPIC) {
		count(COUNT_TOPIC_INVALID);
		return 0;
	}
	if (group == NO_GROUP)
		group = w->scratch->walking.default_group;
	count(COUNT_JUDGED);

	news = teach(w, hash, group);
	flow->topic_hash = hash;
	flow->generation = w->set->generation;
	if (group != flow->group) {
		count(COUNT_MISPREDICT);
		action = decide(w, group, &flags);
		if (action != ACTION_KEPT) {
			w->scratch->walking.to_group = group;
			w->scratch->walking.action = action;
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
		report(w, action, flags, group, topic_len);
	return 0;
}

/* The hash of the topic of the PUBLISH just found; 0 when it is empty or too long. */
static __always_inline __u64 hash_of_found(const struct walk *w)
{
	const struct walking *at = &w->scratch->walking;

	return hash_topic(w->ctx, at->payload_offset + at->found.topic_offset,
			  at->found.topic_len);
}

/* Copies the topic of the PUBLISH just found into the scratch. Returns 0 on
 * success.
 */
static __always_inline long load_topic(const struct walk *w, __u32 len)
{
	const struct walking *at = &w->scratch->walking;

	len--;
	FORGET(len);
	if (len >= MAX_TOPIC)
		return -1;
	return bpf_xdp_load_bytes(w->ctx, at->payload_offset + at->found.topic_offset,
				  w->scratch->topic, len + 1);
}

/* The topic of the PUBLISH just found. Returns whether the walk is over. */
static __always_inline int look_at_topic(struct walk *w)
{
	__u32 len = w->scratch->walking.found.topic_len;
	__u64 hash = hash_of_found(w);

	count(COUNT_PUBLISH);
	if (hash == 0) {
		count(len ? COUNT_TOPIC_TOO_LONG : COUNT_TOPIC_ALIAS);
		return 0;
	}
	if (hash == w->flow->topic_hash && w->flow->generation == w->set->generation)
		return 0;
	return load_topic(w, len) ? 0 : judge(w, hash, len);
}

/* The payload bytes at `offset`, at most MQTT_WINDOW of the `left` ones, the first
 * in the lowest byte. Returns 0 on success.
 */
static __always_inline long load_window(const struct walk *w, __u32 offset, __u32 left,
					__u64 *window)
{
	const struct walking *at = &w->scratch->walking;
	const __u64 *bytes =
		(void *)(long)w->ctx->data + ((at->payload_offset + offset) & FRAME_MASK);

	if (left >= MQTT_WINDOW &&
	    (void *)(bytes + 1) <= (void *)(long)w->ctx->data_end) {
		*window = *bytes;
		return 0;
	}
	left--;
	FORGET(left);
	if (left >= MQTT_WINDOW)
		return -1;
	return bpf_xdp_load_bytes(w->ctx, at->payload_offset + offset, window, left + 1);
}

/* One MQTT packet. Returns whether the walk is over. */
static __always_inline int walk_packet(struct walk *w)
{
	struct walking *at = &w->scratch->walking;
	__u32 offset = at->offset, left = at->payload_len - offset;
	__u64 window = 0;

	if (load_window(w, offset, left, &window))
		return 1;
	if (left > MQTT_WINDOW)
		left = MQTT_WINDOW;

	switch (walk_step(&at->stream, at->seq, offset, at->payload_len, window, left,
			  &at->found)) {
	case FOUND_CUT:
		return 1;
	case FOUND_BAD:
		count(COUNT_MALFORMED);
		at->stream.blind = 1;
		return 1;
	case FOUND_CUT_TOPIC:
		count(COUNT_PUBLISH);
		count(COUNT_TOPIC_CUT);
		return 1;
	case FOUND_PUBLISH:
		if (look_at_topic(w))
			return 1;
		break;
	case FOUND_OTHER:
		break;
	}
	at->offset = at->found.next_offset;
	return at->offset >= at->payload_len;
}

/* The same for bpf_loop(). */
static long walk_next(__u32 index, void *walk)
{
	return walk_packet(walk);
}
