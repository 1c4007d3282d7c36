/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Walks the fields of a stream's MQTT packets, in a segment or in the early ones behind
 * it, and puts the topic of every PUBLISH together: out of several segments, or out of
 * an alias. What the topic means is for judge.h to say.
 *
 * The usual PUBLISH is told by its hash alone and makes no call. What comes behind
 * is not inlined, because stack is short (512 bytes for a whole chain of calls).
 */
#pragma once

#include "bpf/mqtt.h"
#include "xdp/judge.h"

/* Whether the flow's last verdict holds for a topic with this hash. */
static __always_inline int is_judged(const struct packet *pkt, __u64 hash)
{
	return hash == pkt->flow->topic_hash &&
	       pkt->flow->generation == pkt->set->generation;
}

/* Copies payload to `to`, which has room for `most` bytes: from the segment, or
 * from `early` when the walk has come to one. Returns 0 on success.
 */
static __always_inline long load(const struct packet *pkt,
				 const struct early_segment *early, __u32 offset,
				 void *to, __u32 len, __u32 most)
{
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

static __always_inline const struct early_key *key_of_early(const struct packet *pkt,
							    __u32 seq)
{
	struct early_key *key = &pkt->scratch->early_key;

	key->flow = pkt->key;
	key->seq = seq;
	return key;
}

static __always_inline struct topic_text *find_text(const struct packet *pkt, __u16 alias)
{
	return bpf_map_lookup_elem(&topics, key_of_text(pkt, alias));
}

/* Tells the aliases that hold from those of a former connection of the same port, and
 * from those before the stream was blind.
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

	pkt->scratch->text.hash = hash;
	pkt->scratch->text.seq = alias ? mark_of_aliases(pkt->flow) : stream->topic;
	pkt->scratch->text.len = stream->topic_len;
	pkt->scratch->text.have = have;
	bpf_map_update_elem(&topics, key_of_text(pkt, alias), pkt->scratch->topic,
			    BPF_ANY);
}

/* Puts what is known of the topic at hand into the scratch: what earlier segments
 * brought, then its part in the segment of `len` bytes at `seq`. Returns how many
 * bytes that are; 0 when the beginning is lost.
 */
static __noinline __u32 collect_topic(const struct packet *pkt,
				      const struct early_segment *early, __u32 seq,
				      __u32 len)
{
	const struct stream *stream = &pkt->flow->stream;
	struct topic_part part = part_of_topic(stream, seq, len);
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
	if (have > MAX_TOPIC || load(pkt, early, part.offset,
				     (__u8 *)scratch->topic + have, part.len, MAX_TOPIC))
		return 0;
	return have + part.len;
}

/* A piece of a topic that is longer than the kernel reads goes to the daemon. Returns
 * 0 on success.
 */
static __noinline long send_piece(const struct packet *pkt,
				  const struct early_segment *early, __u32 seq, __u32 len)
{
	const struct stream *stream = &pkt->flow->stream;
	struct topic_part part = part_of_topic(stream, seq, len);
	struct event *event = &pkt->scratch->event;

	if (!part.len)
		return 0;
	if (load(pkt, early, part.offset, pkt->scratch->topic, part.len, TEXT_ROOM))
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
	event->action = ACTION_UNJUDGED;
	part.len--;
	FORGET(part.len);
	if (part.len >= TEXT_ROOM)
		return -1;
	return bpf_ringbuf_output(&events, event, sizeof(*event) + part.len + 1, 0);
}

static __always_inline void leave_piece(const struct packet *pkt,
					const struct early_segment *early, __u32 seq,
					__u32 len)
{
	if (send_piece(pkt, early, seq, len))
		count(COUNT_EVENT_LOST);
}

/* A segment has ended within a PUBLISH: what it shows of the topic is kept. */
static __noinline void keep_topic(const struct packet *pkt,
				  const struct early_segment *early, __u32 seq, __u32 len)
{
	const struct topic_text *kept;
	__u32 have;

	if (pkt->flow->stream.topic_len > MAX_TOPIC) {
		leave_piece(pkt, early, seq, len);
		return;
	}
	have = collect_topic(pkt, early, seq, len);
	kept = find_text(pkt, 0);
	/* An early segment may show less than one before it did. */
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

/* What an alias stands for on this connection; a former one of the same port may have
 * left its own.
 */
static __always_inline const struct topic_text *find_alias(const struct packet *pkt,
							   __u16 alias)
{
	const struct topic_text *known = find_text(pkt, alias);

	if (pkt->flow->gaps == MAX_GAPS)
		return 0; /* too many to be told apart */
	return known && known->seq == mark_of_aliases(pkt->flow) ? known : 0;
}

/* A PUBLISH without a topic: its alias stands for one (MQTT 5.0 §3.3.2.3.4). As
 * gather_topic().
 */
static __always_inline __u32 recall_alias(struct packet *pkt, __u16 alias)
{
	const struct topic_text *known = find_alias(pkt, alias);

	if (!known) {
		count(COUNT_TOPIC_ALIAS);
		return 0;
	}
	if (is_judged(pkt, known->hash))
		return 0;
	bpf_probe_read_kernel(pkt->scratch->topic, sizeof(pkt->scratch->topic),
			      known->words);
	pkt->scratch->walking.apart = 1;
	pkt->scratch->walking.hash = known->hash;
	return known->len;
}

/* The topic in the scratch has an alias from now on. */
static __noinline void learn_alias(const struct packet *pkt, __u16 alias, __u64 hash,
				   __u32 len)
{
	const struct topic_text *known = find_alias(pkt, alias);

	if (alias <= MAX_ALIAS && (!known || known->hash != hash))
		keep_text(pkt, alias, hash, len);
}

/* The topic that the alias, if there is one, has from now on is not known. */
static __always_inline void forget_alias(const struct packet *pkt, __u16 alias)
{
	if (alias)
		bpf_map_delete_elem(&topics, key_of_text(pkt, alias));
}

/* The PUBLISH just found, when it takes more than a look at its segment: the topic
 * spans segments, has an alias, is an alias, or lies in an early segment. Puts text and
 * hash into the scratch. Returns the topic's length, 0 when there is nothing to judge.
 */
static __noinline __u32 gather_topic(struct packet *pkt,
				     const struct early_segment *early, __u32 seq,
				     __u32 segment_len)
{
	struct walking *at = &pkt->scratch->walking;
	__u32 len = at->found.topic_len;
	__u16 alias = at->found.alias;

	if (len == 0) {
		if (alias)
			return recall_alias(pkt, alias);
		count(COUNT_TOPIC_INVALID);
		return 0;
	}
	if (len > MAX_TOPIC) {
		count(COUNT_TOPIC_LEFT);
		leave_piece(pkt, early, seq, segment_len);
		forget_alias(pkt, alias);
		return 0;
	}
	if (collect_topic(pkt, early, seq, segment_len) != len) {
		count(COUNT_TOPIC_LOST);
		forget_alias(pkt, alias);
		return 0;
	}
	at->hash = hash_text(len);
	at->apart = early || at->found.topic_offset < 0;
	if (alias)
		learn_alias(pkt, alias, at->hash, len);
	return is_judged(pkt, at->hash) ? 0 : len;
}

/* The PUBLISH just found in the segment. Returns whether the walk is over. */
static __always_inline int look_at_topic(struct packet *pkt)
{
	struct walking *at = &pkt->scratch->walking;
	__u32 len = at->found.topic_len;

	count(COUNT_PUBLISH);
	at->hash = 0;
	if (at->found.topic_offset >= 0 && !at->found.alias)
		at->hash = hash_in_place(
			pkt->ctx, at->payload_offset + at->found.topic_offset, len);
	if (at->hash) {
		if (is_judged(pkt, at->hash) ||
		    take_topic(pkt->ctx, at->payload_offset + at->found.topic_offset,
			       len))
			return 0;
		at->apart = 0;
	} else {
		len = gather_topic(pkt, 0, at->seq, at->payload_len);
	}
	return len ? judge(pkt, len) : 0;
}

/* The payload bytes at `offset`, at most MQTT_WINDOW of the `left` ones, the first
 * in the lowest byte. Returns 0 on success.
 */
static __always_inline long load_window(const struct packet *pkt, __u32 offset,
					__u32 left, __u64 *window)
{
	const struct walking *at = &pkt->scratch->walking;
	const __u64 *bytes = (void *)(long)pkt->ctx->data +
			     ((at->payload_offset + offset) & FRAME_MASK);

	if (left >= MQTT_WINDOW &&
	    (void *)(bytes + 1) <= (void *)(long)pkt->ctx->data_end) {
		*window = *bytes;
		return 0;
	}
	return load(pkt, 0, offset, window, left, MQTT_WINDOW);
}

static __always_inline void lose_boundaries(struct flow *flow)
{
	flow->stream.blind = 1;
	flow->flags &= ~FLOW_EARLY;
	flow->early = 0;
}

/* One field of the segment's MQTT packets. Returns whether the walk is over. */
static __always_inline int walk_field(struct packet *pkt)
{
	struct walking *at = &pkt->scratch->walking;
	struct stream *stream = &pkt->flow->stream;
	__u32 offset = stream_wants(stream) - at->seq, left = at->payload_len - offset;
	__u64 window = 0;

	if (offset >= at->payload_len || load_window(pkt, offset, left, &window))
		return 1;
	if (left > MQTT_WINDOW)
		left = MQTT_WINDOW;

	switch (walk_step(stream, at->seq, at->payload_len, window, left, &at->found)) {
	case FOUND_CUT:
		return 1;
	case FOUND_BAD:
		count(COUNT_MALFORMED);
		lose_boundaries(pkt->flow);
		return 1;
	case FOUND_PUBLISH:
		if (look_at_topic(pkt))
			return 1;
		break;
	case FOUND_NOTHING:
	case FOUND_OTHER:
		break;
	}
	return stream_wants(stream) - at->seq >= at->payload_len;
}

/* The same for bpf_loop(). */
static long walk_next(__u32 index, void *packet)
{
	return walk_field(packet);
}

/* One field of an early segment. */
static __always_inline int walk_early(struct packet *pkt,
				      const struct early_segment *early, __u32 seq,
				      __u32 len, __u32 offset)
{
	struct walking *at = &pkt->scratch->walking;
	__u32 left = len - offset;

	FORGET(offset);
	if (offset >= EARLY_BYTES)
		return 1;
	if (left > MQTT_WINDOW)
		left = MQTT_WINDOW;
	switch (walk_step(&pkt->flow->stream, seq, len,
			  *(const __u64 *)(early->bytes + offset), left, &at->found)) {
	case FOUND_BAD:
		count(COUNT_MALFORMED);
		lose_boundaries(pkt->flow);
		return 1;
	case FOUND_PUBLISH:
		count(COUNT_PUBLISH);
		len = gather_topic(pkt, early, seq, len);
		return len ? judge(pkt, len) : 0;
	default:
		return 0;
	}
}

static __always_inline struct early_segment *find_early(const struct packet *pkt,
							__u32 seq)
{
	return bpf_map_lookup_elem(&early_segments, key_of_early(pkt, seq));
}

/* A step of the walk over the early segments that the stream has come to, for
 * bpf_loop(): a field, or on to the next of them.
 */
static long replay_next(__u32 index, void *packet)
{
	struct packet *pkt = packet;
	struct flow *flow = pkt->flow;
	__u32 seq = flow->first_early, offset = stream_wants(&flow->stream) - seq, next;
	const struct early_segment *early;

	if ((__s32)offset < 0)
		return 1;
	early = find_early(pkt, seq);
	if (!early) {
		lose_boundaries(flow); /* pushed out */
		return 1;
	}
	if (offset < early->len) {
		pkt->scratch->walking.in_early = 1;
		return walk_early(pkt, early, seq, early->len, offset);
	}
	if (flow->stream.phase >= STREAM_TOPIC)
		keep_topic(pkt, early, seq, early->len);
	count(COUNT_EARLY_JUDGED);
	next = early->next;
	bpf_map_delete_elem(&early_segments, key_of_early(pkt, seq));
	flow->first_early = next;
	if (next != seq)
		return 0;
	flow->flags &= ~FLOW_EARLY;
	return 1;
}
