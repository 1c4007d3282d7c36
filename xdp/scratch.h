/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Working space of the mqtt stage, per CPU: data too large for the stack.
 */
#pragma once

#include "bpf/clients.h"
#include "bpf/maps.h"
#include "bpf/mqtt.h"
#include "bpf/topic.h"

/* The walk over the MQTT packets of a segment: of the present one, then of the early ones
 * that follow it.
 */
struct walking {
	__u64 hash; /* of the topic just found */
	struct found found;
	__u32 seq;	      /* sequence number of the segment */
	__u32 payload_len;    /* of the segment */
	__u32 payload_offset; /* in the frame, for the packet's own segment */
	__u32 place;   /* sequence number of an early segment, on the way to a place */
	__u32 fin;     /* EARLY_FIN: the segment ends with a FIN */
	__s32 left;    /* work that the packet may still cost (xdp/work.h) */
	__s32 allowed; /* work that it may cost in the long run */
	__u16 default_group;
	__u16 to_group; /* group of the mispredicted topic */
	__u8 action;	/* enum action once a PUBLISH ends the walk, 0 before */
	__u8 apart;	/* the topic just judged is not in this segment */
	__u8 in_early;	/* the walk is in an early segment */
	__u8 backward;	/* direction of the way to the place */
	__u8 passed;	/* the walk has reached the end of the segment */
	__u8 verdict;	/* enum message_verdict on the PUBLISH at hand */
	__u8 pad[2];
};

/* The check of one topic, and its match against the shapes. */
struct matching {
	struct utf8_check utf8;
	struct topic_levels levels;
	__u64 candidates; /* bits of shapes that are still to be tried */
	__u64 route;	  /* key of the present shape */
	__u32 generation;
	__u32 len;   /* length of the topic, bytes */
	__u32 group; /* the result; NO_GROUP so far */
	__u32 pad;
};

/* Data too large for the stack. The text follows the record that reports it. It can be
 * written to `topics` as it is, or, if it is a whole payload, to `early_segments`.
 */
struct scratch {
	struct event event;
	__u64 topic[TOPIC_ROOM];
	struct {
		__u64 hash;
		__u32 seq;
		__u16 len;
		__u16 have;
	} text; /* as in struct topic_text */
	/* A piece of topic is loaded after another one before the check of its length,
	 * as far as the verifier can tell.
	 */
	__u8 spill[MAX_TOPIC];
	/* Keys of the present look-up, and values to be written. */
	struct topic_key topic_key;
	struct early_key early_key;
	struct {
		struct table_key key;
		union client_words words;
		struct client_note note;
	} client;
	struct client_lesson lesson; /* of the topic at hand */
	struct walking walking;
	struct matching matching;
};

/* Bytes that can be loaded instead of the text. */
#define TEXT_ROOM (sizeof(struct topic_text) + MAX_TOPIC)

static_assert(__builtin_offsetof(struct scratch, spill) -
			      __builtin_offsetof(struct scratch, topic) ==
		      sizeof(struct topic_text),
	      "the text in the scratch is a struct topic_text");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline struct scratch *own_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
}
