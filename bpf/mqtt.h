/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The MQTT packet walker: finds every control packet of a client's TCP stream,
 * segment by segment, and the topic of every PUBLISH.
 *
 * Pure: it owns no map, calls no helper and touches no packet. The caller loads
 * up to 8 bytes (a "window") where the walker points and hands them in, so one
 * source serves the BPF program, the daemon, the tests and the fuzzer.
 *
 * A fixed header is 2 to 5 bytes (MQTT 5.0 §2.1), a PUBLISH continues with two
 * bytes of topic length (§3.3.2.1): 7 bytes at most. A header that TCP cuts is
 * kept in `struct stream` until the rest arrives.
 */
#pragma once

#include "bpf/parse.h"

#define MQTT_CONNECT 1
#define MQTT_PUBLISH 3

#define MQTT_WINDOW 8 /* bytes */
/* Segments ahead of the expected boundary that are refused, so that the client
 * repeats them in order, before the stream is given up as blind.
 */
#define MAX_HOLES 64
/* More than a client can have in flight: what lies farther off is no part of
 * the stream.
 */
#define TCP_REACH (1 << 24)

enum walk_place {
	WALK_NOTHING, /* no packet starts in this segment */
	WALK_HERE,    /* one starts, or a cut header goes on, at the offset */
	WALK_HOLE,    /* bytes in front of this segment are missing */
};

enum walk_find {
	FOUND_OTHER,	 /* a packet that carries no topic */
	FOUND_PUBLISH,	 /* the topic lies in this segment */
	FOUND_CUT,	 /* header or topic length goes on in the next segment */
	FOUND_CUT_TOPIC, /* a PUBLISH whose topic goes on in the next segment */
	FOUND_BAD,	 /* not MQTT: the boundaries are lost */
};

struct found {
	__s32 packet_offset; /* of the packet in the payload; negative when it began
				earlier */
	__u32 topic_offset;  /* in the payload */
	__u32 topic_len;     /* bytes */
	__u32 next_offset;   /* of the packet behind it in the payload */
	__u8 first_byte;     /* type and flags (MQTT 5.0 §2.1.2, §2.1.3) */
};

/* The stream begins with the byte at `seq`. */
static __always_inline void stream_begin(struct stream *stream, __u32 seq)
{
	stream->kept = 0;
	stream->next_packet = seq;
	stream->kept_len = 0;
	stream->blind = 0;
	stream->holes = 0;
	stream->pad = 0;
}

/* Where in a segment of `len` > 0 bytes at `seq` the walk begins: `*offset`, in
 * bytes of payload. Repeated bytes are skipped.
 */
static __always_inline enum walk_place walk_begin(const struct stream *stream, __u32 seq,
						  __u32 len, __u32 *offset)
{
	__u32 wanted = stream->next_packet + stream->kept_len;

	if ((__s32)(seq - wanted) > 0)
		return WALK_HOLE;
	*offset = wanted - seq;
	return *offset < len ? WALK_HERE : WALK_NOTHING;
}

/* Decodes the fixed header in `bytes` (of which `count` are valid, the first in
 * the lowest byte) into the header's length and the remaining length (MQTT 5.0
 * §2.1.4). Returns 0 when cut, -1 when malformed, else the header's length.
 */
static __always_inline int fixed_header(__u64 bytes, __u32 count, __u32 *remaining)
{
	__u32 rest = (__u32)(bytes >> 8);

	if (count < 2)
		return 0;
	*remaining = rest & 0x7f;
	if (!(rest & 0x80))
		return 2;
	if (count < 3)
		return 0;
	*remaining |= (rest >> 1) & 0x3f80;
	if (!(rest & 0x8000))
		return 3;
	if (count < 4)
		return 0;
	*remaining |= (rest >> 2) & 0x1fc000;
	if (!(rest & 0x800000))
		return 4;
	if (count < 5)
		return 0;
	*remaining |= (rest >> 3) & 0xfe00000;
	if (!(rest & 0x80000000))
		return 5;
	return -1;
}

/* One step: the packet whose next byte is at `offset` < `len` of the payload of
 * the segment at `seq`. `window` holds the `count` payload bytes from there on
 * (at most 8, fewer only at the segment's end). Advances the stream; on
 * FOUND_CUT the segment is used up. `found->next_offset` may lie behind the
 * segment.
 */
static __always_inline enum walk_find walk_step(struct stream *stream, __u32 seq,
						__u32 offset, __u32 len, __u64 window,
						__u32 count, struct found *found)
{
	__u32 kept = stream->kept_len;
	__u64 bytes = stream->kept | window << (8 * (kept & 7));
	__u32 remaining = 0, topic_len;
	int header;

	count += kept;
	found->packet_offset = (__s32)(offset - kept);
	found->first_byte = (__u8)bytes;
	header = fixed_header(bytes, count, &remaining);
	/* Type 0 is reserved (MQTT 5.0 §2.1.2). */
	if (header < 0 || (bytes & 0xf0) == 0)
		return FOUND_BAD;
	if (header == 0 || ((bytes & 0xf0) == MQTT_PUBLISH << 4 && remaining >= 2 &&
			    count < (__u32)header + 2)) {
		stream->kept =
			count < 8 ? bytes & ((1ull << (8 * (count & 7))) - 1) : bytes;
		stream->kept_len = (__u8)count;
		return FOUND_CUT;
	}

	found->next_offset = offset - kept + (__u32)header + remaining;
	stream->next_packet = seq + found->next_offset;
	stream->kept = 0;
	stream->kept_len = 0;
	if ((bytes & 0xf0) != MQTT_PUBLISH << 4)
		return FOUND_OTHER;

	topic_len = (bytes >> (8 * (header & 7))) & 0xffff;
	topic_len = (topic_len >> 8 | topic_len << 8) & 0xffff;
	/* QoS 3 is malformed (MQTT 5.0 §3.3.1.2). */
	if (remaining < 2 || topic_len > remaining - 2 || (bytes & 0x06) == 0x06)
		return FOUND_BAD;
	found->topic_offset = offset - kept + (__u32)header + 2;
	found->topic_len = topic_len;
	return found->topic_offset + topic_len <= len ? FOUND_PUBLISH : FOUND_CUT_TOPIC;
}
