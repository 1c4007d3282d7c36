/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The MQTT packet walker: reads a client's TCP stream, segment by segment, and
 * finds every PUBLISH with its topic or topic alias.
 *
 * Pure: it owns no map, calls no helper and touches no packet. The caller loads up to 8
 * bytes (a "window") at the place where the walker points and passes them in. So the same
 * source serves the BPF program, the daemon, the tests and the fuzzer.
 *
 * It goes from field to field. It needs at most 7 bytes of a field: a fixed header of 5
 * (MQTT 5.0 §2.1) and the length of a topic (§3.3.2.1). If TCP cuts a field, these bytes
 * are kept in `struct stream` until the rest arrives; strings and payloads are skipped.
 * The caller keeps the topics.
 */
#pragma once

#include "bpf/parse.h"

#define MQTT_CONNECT 1
#define MQTT_PUBLISH 3
#define MQTT_PUBREL  6

/* Identifiers of the properties that a PUBLISH may have (MQTT 5.0 §2.2.2.2). */
#define PROPERTY_PAYLOAD_FORMAT	 0x01
#define PROPERTY_MESSAGE_EXPIRY	 0x02
#define PROPERTY_CONTENT_TYPE	 0x03
#define PROPERTY_RESPONSE_TOPIC	 0x08
#define PROPERTY_CORRELATION	 0x09
#define PROPERTY_SUBSCRIPTION_ID 0x0b
#define PROPERTY_TOPIC_ALIAS	 0x23
#define PROPERTY_USER		 0x26

#define MQTT_WINDOW 8 /* bytes */
/* More than a client can have in flight: bytes that are farther away are not part of the
 * stream.
 */
#define TCP_REACH (1 << 24)

enum walk_place {
	WALK_NOTHING, /* no field starts in this segment */
	WALK_HERE,    /* a field starts or continues at the offset */
	WALK_HOLE,    /* bytes before this segment are missing */
};

enum walk_find {
	FOUND_NOTHING, /* a field that only leads to the next */
	FOUND_OTHER,   /* the header of a packet other than PUBLISH */
	FOUND_CONNECT, /* a CONNECT, up to the fields that matter here */
	FOUND_PUBLISH, /* a PUBLISH, with everything that decides about it */
	FOUND_CUT,     /* the field continues in the next segment */
	FOUND_BAD,     /* not MQTT, so the boundaries are lost */
};

/* The last find of a walk over one segment. Offsets are in its payload, and negative if
 * something began in an earlier segment.
 */
struct found {
	__s32 packet_offset; /* offset of the packet */
	__s32 topic_offset;  /* offset of the PUBLISH's topic */
	__u32 topic_len;     /* bytes */
	__u16 alias;	     /* the PUBLISH's topic alias; 0: none */
	__u16 keep_alive;    /* keepalive of the CONNECT, seconds */
	/* Type and flags (MQTT 5.0 §2.1.2, §2.1.3) of the packet whose header was read
	 * last in this segment. A header is complete with every find in STREAM_HEADER
	 * except FOUND_CUT and FOUND_BAD.
	 */
	__u8 first_byte;
};

/* Continues the stream with a packet that begins at `seq`. */
static __always_inline void stream_resume(struct stream *stream, __u32 seq)
{
	stream->next = seq;
	stream->phase = STREAM_HEADER;
	stream->kept_len = 0;
	stream->blind = 0;
	stream->kept = 0;
}

/* Begins the stream with the byte at `seq`. */
static __always_inline void stream_begin(struct stream *stream, __u32 seq)
{
	__builtin_memset(stream, 0, sizeof(*stream));
	stream->next = seq;
}

/* The sequence number of the next byte that the walker needs. */
static __always_inline __u32 stream_wants(const struct stream *stream)
{
	return stream->next + stream->kept_len;
}

/* The QoS of the present PUBLISH, or of the last one. */
static __always_inline __u32 stream_qos(const struct stream *stream)
{
	return (stream->flags / STREAM_PACKET_ID % 2U) +
	       (stream->flags / STREAM_QOS2 % 2U);
}

/* Whether the fixed header of a PUBLISH has been read, but not everything that decides.
 */
static __always_inline int is_in_publish(const struct stream *stream)
{
	return stream->phase >= STREAM_TOPIC && stream->phase <= STREAM_VALUE;
}

/* Finds the place where the walk begins in a segment of `len` > 0 bytes at `seq`:
 * `*offset` in its payload. Repeated bytes are skipped. Resets the segment's `found`.
 */
static __always_inline enum walk_place walk_begin(const struct stream *stream, __u32 seq,
						  __u32 len, __u32 *offset,
						  struct found *found)
{
	__u32 wanted = stream_wants(stream);

	found->packet_offset = -1;
	if ((__s32)(seq - wanted) > 0)
		return WALK_HOLE;
	*offset = wanted - seq;
	return *offset < len ? WALK_HERE : WALK_NOTHING;
}

/* Decodes the variable byte integer (MQTT 5.0 §1.5.5) in the `count` lowest bytes
 * of `bytes`. Returns its length, 0 if it is cut, -1 if it is malformed.
 */
static __always_inline int variable_integer(__u32 bytes, __u32 count, __u32 *value)
{
	if (count < 1)
		return 0;
	*value = bytes & 0x7f;
	if (!(bytes & 0x80))
		return 1;
	if (count < 2)
		return 0;
	*value |= (bytes >> 1) & 0x3f80;
	if (!(bytes & 0x8000))
		return 2;
	if (count < 3)
		return 0;
	*value |= (bytes >> 2) & 0x1fc000;
	if (!(bytes & 0x800000))
		return 3;
	if (count < 4)
		return 0;
	*value |= (bytes >> 3) & 0xfe00000;
	return bytes & 0x80000000 ? -1 : 4;
}

/* The two-byte integer (MQTT 5.0 §1.5.2) at byte `at` < 7 of `bytes`. */
static __always_inline __u32 two_byte_integer(__u64 bytes, __u32 at)
{
	__u32 value = (bytes >> (8 * (at & 7))) & 0xffff;

	return (value >> 8 | value << 8) & 0xffff;
}

/* Keeps the first `count` bytes of a field that needs more. */
static __always_inline enum walk_find keep_field(struct stream *stream, __u64 bytes,
						 __u32 count)
{
	stream->kept = count < 8 ? bytes & ((1ull << (8 * (count & 7))) - 1) : bytes;
	stream->kept_len = (__u8)count;
	return FOUND_CUT;
}

static __always_inline void next_field(struct stream *stream, __u8 phase, __u32 seq)
{
	stream->next = seq;
	stream->phase = phase;
	stream->kept_len = 0;
	stream->kept = 0;
}

/* Call this when everything that decides about the present PUBLISH has been read. */
static __always_inline enum walk_find end_publish(struct stream *stream, __u32 seq,
						  struct found *found)
{
	found->topic_offset = (__s32)(stream->topic - seq);
	found->topic_len = stream->topic_len;
	found->alias = stream->alias;
	next_field(stream, STREAM_HEADER, stream->packet_end);
	return FOUND_PUBLISH;
}

/* Reads the protocol's name and level (MQTT 5.0 §3.1.2.1, §3.1.2.2; MQTT 3.1 had another
 * name). Bridges set the level's highest bit.
 */
static __always_inline enum walk_find walk_connect(struct stream *stream, __u64 bytes,
						   __u32 count)
{
	const __u64 mqtt = 0x5454514d0400, mqisdp = 0x647349514d0600; /* length, name */
	__u32 size = 7;

	if (count < 7)
		return keep_field(stream, bytes, count);
	if ((bytes & 0xffffffffffff) == mqtt) {
		stream->flags = ((bytes >> 48) & 0x7f) == 5 ? STREAM_MQTT5 : 0;
	} else if ((bytes & 0xffffffffffffff) == mqisdp) {
		stream->flags = 0;
		size = 9;
	} else {
		return FOUND_BAD;
	}
	stream->flags |= STREAM_CONNECTED;
	next_field(stream, STREAM_KEEP_ALIVE, stream->next + size);
	return (__s32)(stream->next + 3 - stream->packet_end) > 0 ? FOUND_BAD
								  : FOUND_NOTHING;
}

/* Reads the CONNECT's flags and its keepalive (MQTT 5.0 §3.1.2.3, §3.1.2.10). */
static __always_inline enum walk_find walk_keep_alive(struct stream *stream, __u64 bytes,
						      __u32 count, struct found *found)
{
	if (count < 3)
		return keep_field(stream, bytes, count);
	found->keep_alive = (__u16)two_byte_integer(bytes, 1);
	next_field(stream, STREAM_HEADER, stream->packet_end);
	return FOUND_CONNECT;
}

/* Skips the bytes of a topic up to the segment's end at `end`. */
static __always_inline enum walk_find walk_topic(struct stream *stream, __u32 seq,
						 __u32 end, struct found *found)
{
	if ((__s32)(stream->field_end - end) > 0) {
		stream->next = end;
		return FOUND_CUT;
	}
	if (!(stream->flags & STREAM_MQTT5))
		return end_publish(stream, seq, found);
	next_field(stream, STREAM_PROPERTIES,
		   stream->field_end + (stream->flags & STREAM_PACKET_ID ? 2 : 0));
	return FOUND_NOTHING;
}

static __always_inline enum walk_find walk_properties(struct stream *stream, __u32 seq,
						      __u64 bytes, __u32 count,
						      struct found *found)
{
	__u32 length = 0;
	int size = variable_integer((__u32)bytes, count, &length);

	if (size == 0)
		return keep_field(stream, bytes, count);
	stream->field_end = stream->next + (__u32)size + length;
	if (size < 0 || (__s32)(stream->field_end - stream->packet_end) > 0)
		return FOUND_BAD;
	if (length == 0)
		return end_publish(stream, seq, found);
	next_field(stream, STREAM_PROPERTY, stream->next + (__u32)size);
	return FOUND_NOTHING;
}

/* Skips `size` bytes of properties, after which comes the next one, or their end. */
static __always_inline enum walk_find pass_property(struct stream *stream, __u32 seq,
						    __u32 size, struct found *found)
{
	__u32 next = stream->next + size;

	if ((__s32)(next - stream->field_end) > 0)
		return FOUND_BAD;
	if (next == stream->field_end)
		return end_publish(stream, seq, found);
	next_field(stream, STREAM_PROPERTY, next);
	return FOUND_NOTHING;
}

/* Reads one property (MQTT 5.0 §3.3.2.3). */
static __always_inline enum walk_find walk_property(struct stream *stream, __u32 seq,
						    __u64 bytes, __u32 count,
						    struct found *found)
{
	__u8 id = (__u8)bytes;
	__u32 number = 0;
	int size;

	if (id == PROPERTY_PAYLOAD_FORMAT)
		return pass_property(stream, seq, 2, found);
	if (id == PROPERTY_MESSAGE_EXPIRY)
		return pass_property(stream, seq, 5, found);
	if (id == PROPERTY_SUBSCRIPTION_ID) {
		size = variable_integer((__u32)(bytes >> 8), count - 1, &number);
		if (size == 0)
			return keep_field(stream, bytes, count);
		if (size < 0)
			return FOUND_BAD;
		return pass_property(stream, seq, 1 + (__u32)size, found);
	}
	if (id != PROPERTY_CONTENT_TYPE && id != PROPERTY_RESPONSE_TOPIC &&
	    id != PROPERTY_CORRELATION && id != PROPERTY_TOPIC_ALIAS &&
	    id != PROPERTY_USER)
		return FOUND_BAD;
	if (count < 3)
		return keep_field(stream, bytes, count);
	number = two_byte_integer(bytes, 1);
	if (id == PROPERTY_TOPIC_ALIAS) {
		if (number == 0 || stream->alias) /* §3.3.2.3.4: not 0, not twice */
			return FOUND_BAD;
		stream->alias = (__u16)number;
		return pass_property(stream, seq, 3, found);
	}
	if (id != PROPERTY_USER)
		return pass_property(stream, seq, 3 + number, found);
	next_field(stream, STREAM_VALUE, stream->next + 3 + number);
	return (__s32)(stream->next - stream->field_end) < 0 ? FOUND_NOTHING : FOUND_BAD;
}

static __always_inline enum walk_find walk_value(struct stream *stream, __u32 seq,
						 __u64 bytes, __u32 count,
						 struct found *found)
{
	if (count < 2)
		return keep_field(stream, bytes, count);
	return pass_property(stream, seq, 2 + two_byte_integer(bytes, 0), found);
}

/* Reads a fixed header and the length of a topic. `end` is the segment's. */
static __always_inline enum walk_find walk_header(struct stream *stream, __u32 seq,
						  __u32 end, __u64 bytes, __u32 count,
						  struct found *found)
{
	__u8 type = (__u8)bytes & 0xf0, qos = (__u8)bytes & 0x06;
	__u32 remaining = 0, header, topic_len, least;
	int size = variable_integer((__u32)(bytes >> 8), count - 1, &remaining);

	/* Type 0 is reserved (MQTT 5.0 §2.1.2). */
	if (size < 0 || type == 0)
		return FOUND_BAD;
	header = 1 + (__u32)size;
	if (size == 0 ||
	    (type == MQTT_PUBLISH << 4 && remaining >= 2 && count < header + 2))
		return keep_field(stream, bytes, count);

	found->packet_offset = (__s32)(stream->next - seq);
	found->first_byte = (__u8)bytes;
	stream->packet_end = stream->next + header + remaining;
	if (type != MQTT_PUBLISH << 4) {
		/* A second CONNECT ends a session (MQTT 5.0 §3.1). */
		if (type == MQTT_CONNECT << 4 &&
		    (remaining < 7 || stream->flags & STREAM_CONNECTED))
			return FOUND_BAD;
		if (type == MQTT_CONNECT << 4)
			next_field(stream, STREAM_CONNECT, stream->next + header);
		else
			next_field(stream, STREAM_HEADER, stream->packet_end);
		return FOUND_OTHER;
	}

	topic_len = two_byte_integer(bytes, header);
	least = 2 + (qos ? 2 : 0) + (stream->flags & STREAM_MQTT5 ? 1 : 0);
	/* QoS 3 is malformed (MQTT 5.0 §3.3.1.2). */
	if (remaining < least || topic_len > remaining - least || qos == 0x06)
		return FOUND_BAD;
	stream->flags &= (__u8) ~(STREAM_PACKET_ID | STREAM_QOS2);
	if (qos)
		stream->flags |= STREAM_PACKET_ID;
	stream->flags |= (qos & 0x04) << 1; /* STREAM_QOS2 */
	stream->topic = stream->next + header + 2;
	stream->topic_len = (__u16)topic_len;
	stream->alias = 0;
	stream->field_end = stream->topic + topic_len;
	/* A usual PUBLISH ends here. */
	if (!(stream->flags & STREAM_MQTT5) && (__s32)(stream->field_end - end) <= 0)
		return end_publish(stream, seq, found);
	next_field(stream, STREAM_TOPIC, stream->topic);
	return FOUND_NOTHING;
}

/* One step: reads the field whose next byte, stream_wants(), is in the segment of `len`
 * bytes at `seq`. `window` contains the `count` >= 1 payload bytes from there on (at most
 * 8, fewer only at the segment's end). Each step advances the stream, except at most one
 * field without bytes in a row; after FOUND_CUT the segment is used up.
 */
static __always_inline enum walk_find walk_step(struct stream *stream, __u32 seq,
						__u32 len, __u64 window, __u32 count,
						struct found *found)
{
	__u32 kept = stream->kept_len;
	__u64 bytes = stream->kept | window << (8 * (kept & 7));

	count += kept;
	switch (stream->phase) {
	case STREAM_HEADER:
		return walk_header(stream, seq, seq + len, bytes, count, found);
	case STREAM_CONNECT:
		return walk_connect(stream, bytes, count);
	case STREAM_KEEP_ALIVE:
		return walk_keep_alive(stream, bytes, count, found);
	case STREAM_TOPIC:
		return walk_topic(stream, seq, seq + len, found);
	case STREAM_PROPERTIES:
		return walk_properties(stream, seq, bytes, count, found);
	case STREAM_PROPERTY:
		return walk_property(stream, seq, bytes, count, found);
	case STREAM_VALUE:
		return walk_value(stream, seq, bytes, count, found);
	default:
		return FOUND_BAD;
	}
}

/* A PUBLISH of QoS 0 or 1 that fills its segment. Offsets are in the payload. */
struct usual_publish {
	__u32 topic;
	__u32 properties; /* offset of their length; 0: it has none (MQTT 3) */
	__u16 topic_len;  /* bytes, not 0 */
	__u16 qos;	  /* 0 or 1 */
};

/* Recognises a usual segment of `len` bytes at `seq` without a walk: one whole PUBLISH
 * with a topic, at a place where a packet may begin. `window` contains its first 8 bytes.
 * If it has no properties, the stream goes on after the segment; otherwise it stays as it
 * was. PUBLISHes of QoS 2 are left to the walk, which counts them.
 */
static __always_inline int is_usual_publish(const struct stream *stream, __u32 seq,
					    __u32 len, __u64 window,
					    struct usual_publish *publish)
{
	__u32 mqtt5 = stream->flags & STREAM_MQTT5, remaining = 0, header, least;
	__u8 qos = (__u8)window & 0x06;
	int size = variable_integer((__u32)(window >> 8), 4, &remaining);

	if (stream->next != seq || stream->phase != STREAM_HEADER || stream->kept_len ||
	    stream->blind || (window & 0xf0) != MQTT_PUBLISH << 4 || qos & 0x04 ||
	    size < 0)
		return 0;
	header = 1 + (__u32)size;
	least = 2 + (qos ? 2 : 0) + (mqtt5 ? 1 : 0);
	publish->qos = qos >> 1;
	publish->topic = header + 2;
	publish->topic_len = two_byte_integer(window, header);
	publish->properties =
		mqtt5 ? publish->topic + publish->topic_len + (qos ? 2 : 0) : 0;
	return header + remaining == len && remaining >= least && publish->topic_len &&
	       publish->topic_len <= remaining - least;
}

/* The part of the present topic that is in one segment: its offset in the payload, the
 * length of the topic before it, and its own length, all in bytes.
 */
struct topic_part {
	__u32 offset, from, len;
};

static __always_inline struct topic_part part_of_topic(const struct stream *stream,
						       __u32 seq, __u32 len)
{
	struct topic_part part = { 0, 0, 0 };
	__u32 ahead = stream->topic - seq, end = ahead + stream->topic_len;

	if ((__s32)ahead < 0)
		part.from = 0 - ahead;
	else
		part.offset = ahead;
	if ((__s32)end <= 0)
		part.from = stream->topic_len;
	else if ((end < len ? end : len) > part.offset)
		part.len = (end < len ? end : len) - part.offset;
	return part;
}
