/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Judges a topic by the group of its flow: writes the prediction, reports news to the
 * daemon, and decides how a mispredicted connection goes on. All state is in the kernel,
 * so that this works while no daemon runs.
 */
#pragma once

#include "xdp/changes.h"
#include "xdp/learn.h"
#include "xdp/match.h"
#include "xdp/messages.h"
#include "xdp/router.h"

/* Longest topic written directly into a reserved ring record, bytes. */
#define SHORT_TOPIC 64

/* The action on a PUBLISH that belongs to another group than its flow, by the policy of
 * that group and the limits of resets. A client that keeps changing comes back to the
 * router, if that serves the service.
 */
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
	if (is_kept_for_changes(pkt) && !router_has_room(pkt)) {
		count(COUNT_KEPT_CHANGING);
		return ACTION_CHANGING;
	}
	if (!may_reset(pkt)) {
		*flags |= EVENT_OVER_LIMIT;
		return ACTION_KEPT;
	}
	count(COUNT_RESET);
	return ACTION_RESET;
}

static __always_inline int is_kept(__u8 action)
{
	return action == ACTION_KEPT || action == ACTION_CHANGING;
}

static __always_inline void fill_event(struct event *event, const struct packet *pkt,
				       __u8 action, __u16 flags, __u16 group,
				       __u32 topic_len)
{
	/* `options_len` is 0: the bytes of the options need not be zeroed. */
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
	event->time = pkt->scratch->lesson.lesson.time;
}

/* Sends the topic in the scratch to the daemon. Returns 0 on success. */
static __noinline int report(const struct packet *pkt, __u8 action, __u16 flags,
			     __u16 group, __u32 topic_len)
{
	struct event *event;

	/* Most topics are copied only once. */
	if (topic_len <= SHORT_TOPIC) {
		event = bpf_ringbuf_reserve(&events, sizeof(*event) + SHORT_TOPIC, 0);
		if (!event) {
			count(COUNT_EVENT_LOST);
			return -1;
		}
		fill_event(event, pkt, action, flags, group, topic_len);
		__builtin_memcpy(event + 1, pkt->scratch->topic, SHORT_TOPIC);
		bpf_ringbuf_submit(event, 0);
		return 0;
	}
	FORGET(topic_len);
	if (topic_len > MAX_TOPIC)
		return -1;
	event = &pkt->scratch->event;
	fill_event(event, pkt, action, flags, group, topic_len);
	if (bpf_ringbuf_output(&events, event, sizeof(*event) + topic_len, 0)) {
		count(COUNT_EVENT_LOST);
		return -1;
	}
	return 0;
}

/* Judges a topic that is new to its flow, or was judged by other routes. Text and hash
 * are in the scratch. Returns whether the walk is over.
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
		/* The daemon needs to know only once. */
		flow->topic_hash = hash;
		flow->generation = generation;
		set_verdict(flow, MESSAGE_UNJUDGED);
		pkt->scratch->lesson.lesson.time = time_for_daemon(pkt);
		if (report(pkt, ACTION_PIECE, 0, NO_GROUP, topic_len))
			flow->generation = NO_GENERATION;
		return 0;
	}
	if (group == NO_GROUP)
		group = at->default_group;
	count(COUNT_JUDGED);

	flow->topic_hash = hash;
	flow->generation = generation;
	news = teach(pkt, hash, group);
	note_group(pkt, group);
	at->verdict = group == flow->group ? MESSAGE_RIGHT : MESSAGE_WRONG;
	set_verdict(flow, at->verdict);
	if (group != flow->group) {
		count(COUNT_MISPREDICT);
		action = decide(pkt, group, &flags);
		if (!is_kept(action)) {
			at->verdict = MESSAGE_WITHHELD;
			at->to_group = group;
			at->action = action;
			if (at->apart)
				report(pkt, action, EVENT_TOPIC_APART, group, topic_len);
			return 1;
		}
	}
	/* A connection kept for lack of tokens is judged again at its next PUBLISH. */
	if (flags & EVENT_OVER_LIMIT && !(flow->flags & FLOW_KEPT)) {
		flow->generation = NO_GENERATION;
		if (!news)
			return 0;
	}
	if (!news && !is_kept(action))
		return 0;
	/* If the report is lost, too, repeat it until one succeeds. */
	if (report(pkt, action, flags, group, topic_len))
		flow->generation = NO_GENERATION;
	else
		mark_as_told(pkt);
	return 0;
}
