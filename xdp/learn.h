/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Predictions: the lessons that a client gives, and the group of its next connection.
 */
#pragma once

#include "xdp/clients.h"
#include "xdp/packet.h"

/* No set of routes has this generation: a flow with it is judged at its next PUBLISH. */
#define NO_GENERATION 0

static __always_inline __u32 clock_of(const struct packet *pkt)
{
	return lesson_clock(pkt->set->lesson_clock_ns, pkt->now_ns);
}

/* The entry of the packet's client, or 0. A copy in the scratch. */
static __always_inline const struct client *client_of(const struct packet *pkt)
{
	return look_up_client(&pkt->key, clock_of(pkt));
}

/* The group predicted for that client, or NO_GROUP. */
static __always_inline __u32 group_of_client(const struct client *client)
{
	return client && find_group(client->group) ? client->group : NO_GROUP;
}

/* The group predicted for the packet's client, or NO_GROUP. */
static __noinline __u32 predicted_group(const struct packet *pkt)
{
	return group_of_client(client_of(pkt));
}

/* The time of a lesson that the daemon will draw from this packet. */
static __noinline __u32 time_for_daemon(const struct packet *pkt)
{
	const struct client *client = client_of(pkt);

	return client && was_taught(client)
		       ? next_lesson_time(clock_of(pkt), client->time)
		       : clock_of(pkt);
}

/* Writes the prediction, so that the client's very next SYN goes to the right group.
 * Returns whether the daemon must be told: the lesson is new, or its last report failed.
 * If the daemon was interrupted while it wrote the entry, nothing is written, and the
 * next PUBLISH teaches.
 */
static __always_inline int teach(const struct packet *pkt, __u64 hash, __u16 group)
{
	struct client_lesson *lesson = &pkt->scratch->lesson;
	struct flow *flow = pkt->flow;
	struct client_site site;
	__u32 outcome = 0;

	lesson->lesson.topic_hash = hash;
	lesson->lesson.time = clock_of(pkt);
	lesson->lesson.group = group;
	lesson->lesson.flags = flow->flags & FLOW_ANSWERED ? PREDICTION_ANSWERED : 0;
	lesson->before.group = NO_GROUP;
	lesson->kind = LESSON_NOW;
	lesson->now = clock_of(pkt);
	lesson->by = 0;
	if (!find_client(&pkt->key, &site))
		outcome = merge_client_lesson(site.first, site.second, site.key, lesson);
	if (!outcome) {
		flow->generation = NO_GENERATION;
		return 0;
	}
	if (outcome == LESSON_SAME)
		return !(lesson->lesson.flags & PREDICTION_TOLD);
	if (!(flow->flags & FLOW_TAUGHT)) {
		flow->flags |= FLOW_TAUGHT;
		flow->prior_group = lesson->before.group;
	}
	count(COUNT_LEARNED);
	return 1;
}

/* The daemon has received the lesson in the scratch, unless it has changed meanwhile. */
static __always_inline void mark_as_told(const struct packet *pkt)
{
	const struct prediction *lesson = &pkt->scratch->lesson.lesson;
	union client_words *words = &pkt->scratch->client.words;
	struct client_site site;
	__u32 at;

	if (find_client(&pkt->key, &site))
		return;
	at = claim_client(site.first, site.second, site.key, 0);
	if (at >= TABLE_NOWHERE)
		return;
	load_client(table_set_at(site.first, site.second, at), table_way(at), words);
	if (words->client.time == lesson->time && words->client.group == lesson->group &&
	    words->client.topic_hash == lesson->topic_hash)
		words->client.flags |= PREDICTION_TOLD;
	give_client_back(site.first, site.second, at, words, lesson->time);
}

/* The client says that it never opened this connection, so somebody else sent in its
 * name. Takes back the flow's lesson, unless another connection has taught since.
 */
static __noinline void disown(const struct packet *pkt, struct flow *flow)
{
	struct scratch *scratch = own_scratch();
	struct client_site site;
	struct client *client;
	__u32 at, was;

	flow->stream.blind = 1;
	if (!(flow->flags & FLOW_TAUGHT))
		return;
	flow->flags &= ~FLOW_TAUGHT;
	if (!scratch || find_client(&pkt->key, &site))
		return;
	client = &scratch->client.words.client;
	at = claim_client(site.first, site.second, site.key, 0);
	if (at >= TABLE_NOWHERE)
		return;
	load_client(table_set_at(site.first, site.second, at), table_way(at),
		    &scratch->client.words);
	was = client->time;
	if (client->topic_hash == flow->topic_hash) {
		client->time = next_lesson_time(clock_of(pkt), client->time);
		client->topic_hash = 0;
		client->group = flow->prior_group;
		client->flags &= PREDICTION_TOLD;
		count(COUNT_UNLEARNED);
	}
	give_client_back(site.first, site.second, at, &scratch->client.words, was);
}
