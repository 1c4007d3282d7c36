/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Gathers the topic of a PUBLISH if its segment does not simply contain it: the topic
 * spans segments, has an alias, or is given by one.
 */
#pragma once

#include "xdp/judge.h"
#include "xdp/work.h"

/* Whether the flow's last verdict holds for a topic with this hash. */
static __always_inline int is_judged(const struct packet *pkt, __u64 hash)
{
	return hash == pkt->flow->topic_hash &&
	       pkt->flow->generation == pkt->set->generation;
}

/* The same, and takes over that verdict. */
static __always_inline int take_verdict(const struct packet *pkt, __u64 hash)
{
	if (!is_judged(pkt, hash))
		return 0;
	pkt->scratch->walking.verdict = verdict_of(pkt->flow);
	return 1;
}

/* Copies payload to `to`, which has room for `most` bytes. The payload is that of the
 * segment, or that of the early segment if the walk is in one. Returns 0 on success.
 */
static __always_inline long load(const struct packet *pkt, __u32 offset, void *to,
				 __u32 len, __u32 most)
{
	const struct early_segment *early = pkt->early;
	__u32 last = len - 1;

	/* Compared as it is, so that the verifier of 6.1 and 6.12 bounds `len` by it. */
	FORGET(last);
	if (last >= most)
		return -1;
	if (!early)
		return bpf_xdp_load_bytes(pkt->ctx,
					  pkt->scratch->walking.payload_offset + offset,
					  to, last + 1);
	FORGET(offset);
	if (offset >= EARLY_BYTES)
		return -1;
	return bpf_probe_read_kernel(to, last + 1, early->bytes + offset);
}

static __always_inline const struct topic_key *key_of_text(const struct packet *pkt,
							   __u16 alias)
{
	struct topic_key *key = &pkt->scratch->topic_key;

	key->flow = pkt->key;
	key->alias = alias;
	key->pad = 0;
	return key;
}

static __always_inline struct topic_text *find_text(const struct packet *pkt, __u16 alias)
{
	return bpf_map_lookup_elem(&topics, key_of_text(pkt, alias));
}

/* Aliases are valid only with the same mark. It differs from that of a former connection
 * on the same port, and from that before the stream was blind.
 */
static __always_inline __u32 mark_of_aliases(const struct flow *flow)
{
	return flow->isn + flow->gaps;
}

/* Writes the text in the scratch to `topics`. */
static __noinline void keep_text(const struct packet *pkt, __u16 alias, __u64 hash,
				 __u32 have)
{
	const struct stream *stream = &pkt->flow->stream;

	charge(pkt->scratch, WORK_TEXT);
	pkt->scratch->text.hash = hash;
	pkt->scratch->text.seq = alias ? mark_of_aliases(pkt->flow) : stream->topic;
	pkt->scratch->text.len = stream->topic_len;
	pkt->scratch->text.have = have;
	bpf_map_update_elem(&topics, key_of_text(pkt, alias), pkt->scratch->topic,
			    BPF_ANY);
}

/* Puts the known part of the present topic into the scratch: the part from earlier
 * segments, then that from this one. Returns its length in bytes, or 0 if the beginning
 * is lost.
 */
static __noinline __u32 collect_topic(const struct packet *pkt)
{
	const struct walking *at = &pkt->scratch->walking;
	const struct stream *stream = &pkt->flow->stream;
	struct topic_part part = part_of_topic(stream, at->seq, at->payload_len);
	struct scratch *scratch = pkt->scratch;
	__u32 have = part.from, repeated;

	if (have) {
		const struct topic_text *kept = find_text(pkt, 0);

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
	if (have > MAX_TOPIC ||
	    load(pkt, part.offset, (__u8 *)scratch->topic + have, part.len, MAX_TOPIC))
		return 0;
	return have + part.len;
}

/* Sends a piece of a topic that is too long for the kernel to the daemon. Returns 0 on
 * success.
 */
static __noinline long send_piece(const struct packet *pkt)
{
	const struct walking *at = &pkt->scratch->walking;
	const struct stream *stream = &pkt->flow->stream;
	struct topic_part part = part_of_topic(stream, at->seq, at->payload_len);
	struct event *event = &pkt->scratch->event;

	if (!part.len)
		return 0;
	if (load(pkt, part.offset, pkt->scratch->topic, part.len, TEXT_ROOM))
		return -1;
	__builtin_memset(event, 0, sizeof(*event));
	event->seen_at_ns = bpf_ktime_get_ns();
	event->flow = pkt->key;
	event->seq = stream->topic;
	event->from_group = pkt->flow->group;
	event->to_group = NO_GROUP;
	event->topic_offset = part.from;
	event->topic_len = stream->topic_len;
	event->data_len = part.len;
	event->action = ACTION_PIECE;
	event->time = time_for_daemon(pkt);
	part.len--;
	FORGET(part.len);
	if (part.len >= TEXT_ROOM)
		return -1;
	return bpf_ringbuf_output(&events, event, sizeof(*event) + part.len + 1,
				  WAKE_READER);
}

static __always_inline void leave_piece(const struct packet *pkt)
{
	charge(pkt->scratch, WORK_TEXT + WORK_WAKE);
	if (send_piece(pkt))
		count(COUNT_EVENT_LOST);
}

/* The segment ends within a PUBLISH. Keeps its part of the topic. */
static __noinline void keep_topic(const struct packet *pkt)
{
	const struct topic_text *kept;
	__u32 have;

	if (pkt->flow->stream.topic_len > MAX_TOPIC) {
		leave_piece(pkt);
		return;
	}
	have = collect_topic(pkt);
	kept = find_text(pkt, 0);
	/* An early segment may contain less than one before it. */
	if (have && !(kept && kept->seq == pkt->flow->stream.topic && kept->have >= have))
		keep_text(pkt, 0, 0, have);
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

/* The topic of an alias on this connection. A former connection on the same port may have
 * left another one.
 */
static __always_inline const struct topic_text *find_alias(const struct packet *pkt,
							   __u16 alias)
{
	const struct topic_text *known = find_text(pkt, alias);

	if (pkt->flow->gaps == MAX_GAPS)
		return 0; /* too many gaps to tell aliases apart */
	return known && known->seq == mark_of_aliases(pkt->flow) ? known : 0;
}

/* Finds the topic of a PUBLISH that has only an alias (MQTT 5.0 §3.3.2.3.4). Returns the
 * same as gather_topic().
 */
static __always_inline __u32 recall_alias(struct packet *pkt, __u16 alias)
{
	const struct topic_text *known = find_alias(pkt, alias);

	charge(pkt->scratch, WORK_RECALL);
	if (!known) {
		count(COUNT_TOPIC_ALIAS);
		return 0;
	}
	if (take_verdict(pkt, known->hash))
		return 0;
	bpf_probe_read_kernel(pkt->scratch->topic, sizeof(pkt->scratch->topic),
			      known->words);
	pkt->scratch->walking.apart = 1;
	pkt->scratch->walking.hash = known->hash;
	return known->len;
}

/* From now on the alias stands for the topic in the scratch. */
static __noinline void learn_alias(const struct packet *pkt, __u16 alias, __u64 hash,
				   __u32 len)
{
	const struct topic_text *known = find_alias(pkt, alias);

	if (alias <= MAX_ALIAS && (!known || known->hash != hash))
		keep_text(pkt, alias, hash, len);
}

/* From now on the alias, if there is one, stands for an unknown topic. */
static __always_inline void forget_alias(const struct packet *pkt, __u16 alias)
{
	if (alias)
		bpf_map_delete_elem(&topics, key_of_text(pkt, alias));
}

/* Puts the text and the hash of the topic of the PUBLISH just found into the scratch.
 * Returns the length of the topic, or 0 if there is nothing to judge.
 */
static __noinline __u32 gather_topic(struct packet *pkt)
{
	struct walking *at = &pkt->scratch->walking;
	__u32 len = at->found.topic_len;
	__u16 alias = at->found.alias;

	charge(pkt->scratch, WORK_GATHER);
	if (len == 0) {
		if (alias)
			return recall_alias(pkt, alias);
		count(COUNT_TOPIC_INVALID);
		return 0;
	}
	if (len > MAX_TOPIC) {
		count(COUNT_TOPIC_LEFT);
		leave_piece(pkt);
		forget_alias(pkt, alias);
		return 0;
	}
	charge(pkt->scratch, len / 64 * WORK_HASH);
	if (collect_topic(pkt) != len) {
		count(COUNT_TOPIC_LOST);
		forget_alias(pkt, alias);
		return 0;
	}
	at->hash = hash_text(len);
	at->apart = at->in_early || at->found.topic_offset < 0;
	if (alias)
		learn_alias(pkt, alias, at->hash, len);
	return take_verdict(pkt, at->hash) ? 0 : len;
}
