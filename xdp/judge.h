/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Judges topics against the group of their flow: what the client teaches, what is
 * reported, and what becomes of a mispredicted connection. All of it is kernel
 * state, so that it holds while no daemon runs.
 */
#pragma once

#include "xdp/match.h"
#include "xdp/packet.h"

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
static __always_inline int may_reset(const struct packet *pkt)
{
	struct guard *guard = bpf_map_lookup_elem(&guards, &pkt->key.client);

	if (!guard || (pkt->flow->flags & FLOW_KEPT)) {
		count(COUNT_KEPT_CLIENT);
		return 0;
	}
	if (is_over(guard->window_began_ns, pkt->now_ns, RESET_WINDOW_S * NS_PER_S)) {
		guard->window_began_ns = pkt->now_ns;
		guard->resets = 0;
	}
	if (guard->resets >= pkt->set->resets_per_client) {
		pkt->flow->flags |= FLOW_KEPT;
		count(COUNT_KEPT_CLIENT);
		return 0;
	}
	if (!take_token(pkt->set->resets_per_second, pkt->now_ns)) {
		count(COUNT_KEPT_RATE);
		return 0;
	}
	__sync_fetch_and_add(&guard->resets, 1);
	return 1;
}

/* What to do with a PUBLISH that belongs to `group`. */
static __noinline __u8 decide(const struct packet *pkt, __u32 group, __u16 *flags)
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
	if (!may_reset(pkt)) {
		*flags |= EVENT_OVER_LIMIT;
		return ACTION_KEPT;
	}
	count(COUNT_RESET);
	return ACTION_RESET;
}

/* Writes the prediction, so that the client's very next SYN is right. Returns
 * whether the client or its topic is new.
 */
static __always_inline int teach(const struct packet *pkt, __u64 hash, __u16 group)
{
	struct scratch *scratch = pkt->scratch;
	struct prediction *known;

	scratch->client_key = client_of(&pkt->key);
	known = bpf_map_lookup_elem(&predictions, &scratch->client_key);
	if (known && known->topic_hash == hash && known->group == group) {
		known->seen_at_ns = pkt->now_ns;
		return 0;
	}
	if (!(pkt->flow->flags & FLOW_TAUGHT)) {
		pkt->flow->flags |= FLOW_TAUGHT;
		pkt->flow->prior_group = known ? known->group : NO_GROUP;
	}
	if (known) {
		known->group = group;
		known->topic_hash = hash;
		known->seen_at_ns = pkt->now_ns;
	} else {
		scratch->prediction.topic_hash = hash;
		scratch->prediction.seen_at_ns = pkt->now_ns;
		scratch->prediction.group = group;
		bpf_map_update_elem(&predictions, &scratch->client_key,
				    &scratch->prediction, BPF_ANY);
	}
	count(COUNT_LEARNED);
	return 1;
}

static __always_inline void fill_event(struct event *event, const struct packet *pkt,
				       __u8 action, __u16 flags, __u16 group,
				       __u32 topic_len)
{
	/* The options mean nothing where there are none. */
	__builtin_memset(event, 0, __builtin_offsetof(struct event, options));
	event->seen_at_ns = pkt->now_ns;
	event->flow = pkt->key;
	event->seq = pkt->flow->stream.topic;
	event->from_group = pkt->flow->group;
	event->to_group = group;
	event->topic_len = topic_len;
	event->data_len = topic_len;
	event->action = action;
	event->flags = flags;
}

/* Sends the text in the scratch to the daemon. */
static __noinline void report(const struct packet *pkt, __u8 action, __u16 flags,
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
		fill_event(event, pkt, action, flags, group, topic_len);
		__builtin_memcpy(event + 1, pkt->scratch->topic, SHORT_TOPIC);
		bpf_ringbuf_submit(event, 0);
		return;
	}
	FORGET(topic_len);
	if (topic_len > MAX_TOPIC)
		return;
	event = &pkt->scratch->event;
	fill_event(event, pkt, action, flags, group, topic_len);
	if (bpf_ringbuf_output(&events, event, sizeof(*event) + topic_len, 0))
		count(COUNT_EVENT_LOST);
}

/* A topic that is new to its flow, or routes that are; its text and its hash are in the
 * scratch. Returns whether the walk is over.
 */
static __noinline int judge(struct packet *pkt, __u32 topic_len)
{
	struct walking *at = &pkt->scratch->walking;
	__u64 hash = at->hash;
	struct flow *flow = pkt->flow;
	__u32 group, generation = pkt->set->generation;
	__u8 action = ACTION_LEARNED;
	__u16 flags = 0;
	int news;

	group = match_topic(pkt->scratch, generation, hash, topic_len);
	if (group == INVALID_TOPIC) {
		count(COUNT_TOPIC_INVALID);
		return 0;
	}
	if (group == UNSURE_TOPIC) {
		count(COUNT_TOPIC_LEFT);
		/* The daemon learns it once. */
		flow->topic_hash = hash;
		flow->generation = generation;
		report(pkt, ACTION_UNJUDGED, 0, NO_GROUP, topic_len);
		return 0;
	}
	if (group == NO_GROUP)
		group = at->default_group;
	count(COUNT_JUDGED);

	news = teach(pkt, hash, group);
	flow->topic_hash = hash;
	flow->generation = generation;
	if (group != flow->group) {
		count(COUNT_MISPREDICT);
		action = decide(pkt, group, &flags);
		if (action != ACTION_KEPT) {
			at->to_group = group;
			at->action = action;
			if (at->apart)
				report(pkt, action, EVENT_TOPIC_APART, group, topic_len);
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
		report(pkt, action, flags, group, topic_len);
	return 0;
}
