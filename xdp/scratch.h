/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Working space of the mqtt stage, per CPU: what is too large for the stack.
 */
#pragma once

#include "bpf/clients.h"
#include "bpf/maps.h"
#include "bpf/mqtt.h"
#include "bpf/topic.h"

/* The walk over the MQTT packets of a segment: of the one at hand, then of the early ones
 * that follow it.
 */
struct walking {
	__u64 hash; /* of the topic just found */
	struct found found;
	__u32 seq;	      /* of the segment */
	__u32 payload_len;    /* its */
	__u32 payload_offset; /* in the frame, of the segment at hand */
	__u32 place;   /* sequence number of an early segment, on the way to a place */
	__u32 fin;     /* EARLY_FIN: the segment ends with a FIN */
	__s32 left;    /* of the work that the packet may cost (xdp/work.h) */
	__s32 allowed; /* to it in the long run */
	__u16 default_group;
	__u16 to_group; /* of the mispredicted topic */
	__u8 action;	/* enum action once a PUBLISH ends the walk, 0 before */
	__u8 apart;	/* the topic just judged does not lie in this segment */
	__u8 in_early;	/* the walk is in an early segment */
	__u8 backward;	/* the way to the place */
	__u8 passed;	/* the walk has come to the end of the segment */
	__u8 pad[3];
};

/* The check of one topic, and its match against the shapes. */
struct matching {
	struct utf8_check utf8;
	struct topic_levels levels;
	__u64 candidates; /* shapes that are still to be tried, by bits */
	__u64 route;	  /* key of the shape at hand */
	__u32 generation;
	__u32 len;   /* of the topic, bytes */
	__u32 group; /* the result; NO_GROUP so far */
	__u32 pad;
};

/* Data too large for the stack. The text lies right after the record that reports it, and
 * can be written to `topics` as it lies, or, when it is a whole payload, to
 * `early_segments`.
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
	/* A piece of topic is loaded after another one, before any check that the
	 * verifier would understand.
	 */
	__u8 spill[MAX_TOPIC];
	/* Of the look-up at hand, and what is written there. */
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

/* What can be loaded in place of the text, bytes. */
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
