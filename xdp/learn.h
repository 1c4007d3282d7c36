/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Predictions: what a client teaches, and what its next connection gets.
 */
#pragma once

#include "xdp/packet.h"
#include "xdp/predictions.h"

static __always_inline struct client_key client_of(const struct flow_key *flow)
{
	struct client_key key = { flow->client, flow->service, 0 };

	return key;
}

/* The group predicted for the client, or NO_GROUP. */
static __noinline __u32 predicted_group(const struct packet *pkt)
{
	struct client_key key = client_of(&pkt->key);
	const struct prediction *known = bpf_map_lookup_elem(&predictions, &key);

	return known && find_group(known->group) ? known->group : NO_GROUP;
}

static __always_inline __u32 clock_of(const struct packet *pkt)
{
	return lesson_clock(pkt->set->lesson_clock_ns, pkt->now_ns);
}

/* The time of a lesson that the daemon is to draw from this packet. */
static __noinline __u32 time_for_daemon(const struct packet *pkt)
{
	struct client_key key = client_of(&pkt->key);
	const struct prediction *known = bpf_map_lookup_elem(&predictions, &key);

	return known ? next_lesson_time(clock_of(pkt), known->time) : clock_of(pkt);
}

/* Writes the prediction, so that the client's very next SYN goes to the right group.
 * Returns whether the daemon is to hear of it: it is news, or the report of it failed.
 */
static __always_inline int teach(const struct packet *pkt, __u64 hash, __u16 group)
{
	struct prediction *lesson = &pkt->scratch->prediction;
	struct client_key *client = &pkt->scratch->client_key;
	struct flow *flow = pkt->flow;
	enum lesson_outcome outcome;
	struct prediction before;

	*client = client_of(&pkt->key);
	lesson->topic_hash = hash;
	lesson->time = clock_of(pkt);
	lesson->group = group;
	lesson->check = hash_check(hash);
	lesson->flags = 0;
	outcome = merge_lesson(client, lesson, LESSON_NOW, &before);
	if (outcome == LESSON_SAME)
		return !(lesson->flags & PREDICTION_TOLD);
	if (!(flow->flags & FLOW_TAUGHT)) {
		flow->flags |= FLOW_TAUGHT;
		flow->prior_group = before.group;
	}
	count(COUNT_LEARNED);
	return 1;
}

/* The daemon has the lesson in the scratch, unless it has become another one. */
static __always_inline void mark_as_told(const struct packet *pkt)
{
	struct prediction *lesson = &pkt->scratch->prediction, told = *lesson;
	struct prediction *known;

	known = bpf_map_lookup_elem(&predictions, &pkt->scratch->client_key);
	told.flags |= PREDICTION_TOLD;
	if (known)
		exchange_prediction(known, lesson, &told);
}

/* The client says that it never opened this connection: somebody else spoke in its name.
 * Takes back what the flow taught, unless another connection has taught since.
 */
static __noinline void disown(const struct packet *pkt, struct flow *flow)
{
	struct client_key key = client_of(&pkt->key);
	struct prediction before, next = {};
	struct prediction *known;

	flow->stream.blind = 1;
	if (!(flow->flags & FLOW_TAUGHT))
		return;
	flow->flags &= ~FLOW_TAUGHT;
	known = bpf_map_lookup_elem(&predictions, &key);
	if (!known)
		return;
	before = *known;
	if (topic_of_prediction(&before) != flow->topic_hash)
		return;
	next.time = next_lesson_time(clock_of(pkt), before.time);
	next.group = flow->prior_group;
	next.flags = before.flags;
	if (exchange_prediction(known, &before, &next))
		count(COUNT_UNLEARNED);
}
