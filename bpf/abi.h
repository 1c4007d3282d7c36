/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The contract between the BPF programs and user space: every map key, map
 * value and ring record, once. C that clang compiles for BPF and g++ for the
 * daemon; fixed widths, explicit padding, asserted sizes.
 *
 * Byte order: __be16 and __be32 are network order, everything else is host
 * order. Times are nanoseconds of CLOCK_MONOTONIC (in the packet path: its
 * coarse form, a few milliseconds behind).
 */
#pragma once

#include <linux/types.h>

#include "bpf/counters.h"

#ifndef __cplusplus
#define static_assert _Static_assert
#endif

/* Changes with every change below to something that is pinned. Each ABI has a converter
 * from the one before it (daemon/kernel/abi/), so that an upgrade keeps the pinned maps.
 */
#define REMORA_ABI 5

/* ---- sizes and numbers both sides must agree on ------------------------- */

/* The longest topic that the kernel judges, bytes: more than fits after a PUBLISH header
 * in a 1500-byte frame. A longer topic gets no verdict.
 */
#define MAX_TOPIC 1536
/* Its 8-byte words, and one more, because the verifier does not see that the last word of
 * the longest topic is whole.
 */
#define TOPIC_ROOM (MAX_TOPIC / 8 + 1)
/* Levels of a filter with wildcards that the kernel matches; the daemon matches filters
 * with more levels.
 */
#define MAX_LEVELS 32
/* Shapes of such filters: look-ups that a topic may cost. */
#define MAX_SHAPES 64
/* Katran's ring size (Maglev paper §3.4 wants a prime far above the reals). */
#define RING_SIZE 65537
/* Bytes of one TCP segment that the probe copies (MTU 9000 and some more). */
#define MAX_SEGMENT 9216
/* The longest segment that is kept while an earlier one is missing, bytes. */
#define EARLY_BYTES 1536
/* The most early segments that one flow may have. The segment that closes the gap can
 * judge about this many of them: if it had to be withheld, its client would wait for a
 * timeout each time. The client repeats further segments at once when the gap is closed.
 */
#define MAX_EARLY 8
/* One client may fill an 8th of `early_segments` within a window. */
#define EARLY_SHARE 8
/* The window is 2^31 ns: longer than a gap may last. */
#define EARLY_WINDOW_SHIFT 31
/* Time that a gap may last, about two seconds, before the stream is given up as blind:
 * the missing segment went another way.
 */
#define GAP_SHIFT    20
#define GAP_PATIENCE 1907
/* Bytes accepted ahead of a lost or late CONNECT. */
#define EAGER_REACH (1 << 20)
/* The highest MQTT 5 topic alias that is remembered. */
#define MAX_ALIAS 255

/* Prog-array slots, the protocol of Katran's shared mode. */
#define SLOT_MQTT      1
#define SLOT_FORWARDER 2
#define ROOT_SLOTS     4

/* No group: the client has not published yet. */
#define NO_GROUP 0xffff

/* Seconds without a heartbeat after which the kernel stops relying on the
 * daemon and answers mispredicts itself.
 */
#define HEARTBEAT_STALE_S 3
/* The window in which the resets of one client are counted, seconds. */
#define RESET_WINDOW_S 60

/* ---- addresses ---------------------------------------------------------- */

/* IPv6; IPv4 as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2). */
struct address {
	__be32 word[4];
};
static_assert(sizeof(struct address) == 16, "ABI");

/* ---- map `services`: the addresses of clients' connections --------------- */

struct service_key {
	struct address address;
	__be16 port;
	__u16 pad;
};
static_assert(sizeof(struct service_key) == 20, "ABI");

enum unknown_clients {
	UNKNOWN_TO_DEFAULT = 0, /* to the default group */
	UNKNOWN_TO_ROUTER = 1,	/* to the router, while it has room (xdp/router.h) */
};

struct service {
	__u16 number;	     /* fixed for the service while the daemon's maps live */
	__u16 default_group; /* for unknown clients and for topics without a route */
	__u16 unknown;	     /* enum unknown_clients */
	__u16 pad;
};
static_assert(sizeof(struct service) == 8, "ABI");

/* ---- map `groups`: index is the group number ---------------------------- */

enum policy {
	POLICY_RESET = 1, /* make the client come back */
	POLICY_KEEP = 2,  /* leave the connection where it is, and learn */
	POLICY_DROP = 3,  /* discard; the client waits for its own timeout */
};

/* Whether the connection or only its client chooses the real of a new connection. */
enum affinity {
	AFFINITY_CONNECTION = 0, /* address and port: a client's connections are spread */
	AFFINITY_CLIENT = 1,	 /* the address: all go to one real of the present ring */
};

struct group {
	struct address vip;
	__u32 vip_num; /* number of its ring in `ch_rings` */
	__u8 policy;   /* enum policy, for PUBLISHes that belong to this group */
	__u8 in_use;
	__u8 outer_len; /* bytes of its outer header; 0: depends on the real's family */
	__u8 affinity;	/* enum affinity */
};
static_assert(sizeof(struct group) == 24, "ABI");

/* ---- map `routes`: topic filter -> group -------------------------------- */

/* The key is a __u64, route_key() of bpf/topic.h: from the filter's hash, the generation
 * of the set of routes, and the shape of the filter. A changed set is written next to the
 * old one and takes effect at once when `settings.generation` changes.
 */
#define EXACT_ROUTE 0 /* no wildcards; others: place of the shape in its set, from 1 */

struct route {
	__u32 generation;
	__u16 group;
	__u16 pad;
};
static_assert(sizeof(struct route) == 8, "ABI");

/* ---- map `shape_sets` (two entries): the shapes of wildcard filters ------- */

/* Which levels of a filter are literal, which are `+`, and whether `#` ends it. */
struct topic_shape {
	__u32 plus;  /* bit N: level N is `+` */
	__u8 levels; /* all levels, or those before `#` */
	__u8 rest;   /* whether `#` ends it */
	__u8 named;  /* number of its last literal level */
	__u8 pad;
	__u64 names; /* of its filters there, name_bit() of each; all bits: no level is
			literal */
};
static_assert(sizeof(struct topic_shape) == 16, "ABI");

/* The shapes of the routes of one generation, at the index `generation` modulo 2, so that
 * a changed set is written next to the one in force.
 */
struct shape_set {
	__u32 count;
	__u16 reach; /* levels of a topic that matter; 0: there are no wildcards */
	__u16 deep;  /* there are wildcards after more than MAX_LEVELS levels */
	struct topic_shape shapes[MAX_SHAPES]; /* the most specific first */
};
static_assert(sizeof(struct shape_set) == 8 + MAX_SHAPES * 16, "ABI");

/* ---- map `topic_keys` (one entry): the secret of the topic hash ---------- */

struct topic_keys {
	__u64 start[2];
	__u64 length[2];
	/* Two for each 8 bytes of topic, word_key() of bpf/topic.h. */
	__u64 word[2 * TOPIC_ROOM + 2];
	/* The same for the hashes of its levels, seen through a shape. */
	__u64 level[2 * MAX_LEVELS + 2];
};
static_assert(sizeof(struct topic_keys) == 64 + (TOPIC_ROOM + MAX_LEVELS) * 16, "ABI");

/* ---- map `predictions`: what is known of each client ---------------------- */

/* Its values are sets of clients (bpf/clients.h). */

struct client_key {
	struct address client;
	__u16 service;
	__u16 pad;
};
static_assert(sizeof(struct client_key) == 20, "ABI");

/* What the client's last lesson says (bpf/lesson.h). */
struct prediction {
	__u64 topic_hash; /* 0: the topic is not known */
	__u32 time;	  /* when it was taught, 16ths of a second */
	__u16 group;
	__u16 flags; /* enum prediction_flags */
};
static_assert(sizeof(struct prediction) == 16, "ABI");

enum prediction_flags {
	PREDICTION_TOLD = 1,	 /* the daemon knows this lesson */
	PREDICTION_ANSWERED = 2, /* by a client that had answered (xdp/changes.h) */
};

enum lesson_kind {
	LESSON_NOW = 1,	   /* taught at this moment: later than all known lessons */
	LESSON_NO_NEW = 2, /* only for a client that has a prediction */
};

enum lesson_outcome {
	LESSON_NEW = 1,	      /* the client had no prediction */
	LESSON_CHANGED = 2,   /* another topic, or another group for it */
	LESSON_SAME = 3,      /* what was known */
	LESSON_OLDER = 4,     /* what is known counts more */
	LESSON_NO_ROOM = 5,   /* not written: all others count more */
	LESSON_NO_CLIENT = 6, /* not written: LESSON_NO_NEW */
};

/* ---- the flow table, and map `half_open`: TCP connections ----------------- */

struct flow_key {
	struct address client;
	__be16 port; /* the client's port */
	__u16 service;
};
static_assert(sizeof(struct flow_key) == 20, "ABI");

/* The key of a half-open flow includes its initial sequence number: a forged SYN makes a
 * half-open flow of its own.
 */
struct half_open_key {
	struct flow_key flow;
	__u32 isn; /* host order */
};
static_assert(sizeof(struct half_open_key) == 24, "ABI");

enum flow_state {
	FLOW_HALF_OPEN = 1,
	FLOW_ESTABLISHED = 2,
	FLOW_CLOSING = 3,   /* FIN or RST seen: the last ACKs still find their real */
	FLOW_CONDEMNED = 4, /* being reset: each packet is answered with a RST */
	FLOW_DROPPED = 5,   /* policy `drop`: each packet is discarded */
	FLOW_LEAVING = 6,   /* evacuated: goes on until it can end well */
	FLOW_HURRIED = 7,   /* leaving, and not waiting for messages of QoS 2 any more */
};

/* "Reserved" marks bits and fields that no program sets yet: they are 0. */
enum flow_flags {
	FLOW_REOPENED = 1 << 0, /* `half_open` may hold one, too; there: is beside one */
	FLOW_TAUGHT = 1 << 1,	/* it changed its client's prediction */
	FLOW_KEPT = 1 << 2,	/* over resets_per_client: stays where it is for good */
	FLOW_EARLY = 1 << 3,	/* segments of it wait in `early_segments` */
	FLOW_ANSWERED = 1 << 4, /* its client has answered a question (questions.h) */
	FLOW_PROVEN = 1 << 5,	/* went beyond its CONNECT: never gives way to others */
	FLOW_DOUBT = 1 << 6,	/* a segment ahead of its edge was no likely one of it */
	FLOW_FIN = 1 << 7,	/* its FIN stands at the edge */
	FLOW_STAMPED = 1 << 8,	/* its segments carry timestamps (RFC 7323) */
	FLOW_ECHOED = 1 << 9,	/* they echo the broker's timestamps */
	FLOW_SACK = 1 << 10,	/* reserved: its SYN permits SACK (RFC 2018) */
	FLOW_BOUND = 1 << 11,	/* reserved: its session has state at its broker */
	FLOW_COSTLY = 1 << 12,	/* it was reported as left unjudged */
	FLOW_QOS2 = 1 << 13,  /* it published a message of QoS 2 that was no repetition */
	FLOW_LEAPT = 1 << 14, /* its edge has leapt over a gap that was not filled */
	FLOW_DOUBTED = 1 << 15, /* opened without an answer in a nearly full table */
};

/* The field of an MQTT packet that a stream has reached (bpf/mqtt.h). */
enum stream_phase {
	STREAM_HEADER = 0,     /* fixed header, for a PUBLISH with the topic's length */
	STREAM_CONNECT = 1,    /* protocol name and level of a CONNECT */
	STREAM_TOPIC = 2,      /* topic of a PUBLISH */
	STREAM_PROPERTIES = 3, /* the length of its properties (MQTT 5) */
	STREAM_PROPERTY = 4,   /* one property */
	STREAM_VALUE = 5,      /* the second string of a user property */
	STREAM_KEEP_ALIVE = 6, /* flags and keepalive of a CONNECT */
};

enum stream_flags {
	STREAM_MQTT5 = 1,     /* the CONNECT has version 5, so packets have properties */
	STREAM_PACKET_ID = 2, /* the present PUBLISH has an identifier: QoS 1 or 2 */
	STREAM_CONNECTED = 4, /* there was a CONNECT */
	STREAM_QOS2 = 8,      /* the present PUBLISH has QoS 2 */
	/* Two bits: enum message_verdict on the flow's `topic_hash`. They are here, in
	 * the first cache line, because each repetition of the topic is counted by them.
	 */
	STREAM_VERDICT = 0x30,
};
#define STREAM_VERDICT_SHIFT 4

/* The read position in a stream's MQTT packets. Sequence numbers in host order. */
struct stream {
	__u32 next;	  /* first byte of the field to be read */
	__u8 phase;	  /* enum stream_phase: the kind of that field */
	__u8 kept_len;	  /* number of bytes in `kept`, from `next` on */
	__u8 blind;	  /* boundaries unknown: nothing is judged */
	__u8 flags;	  /* enum stream_flags */
	__u64 kept;	  /* bytes of a cut field, the first in the lowest byte */
	__u32 packet_end; /* one past the last byte of the present packet */
	__u32 field_end; /* one past the last byte of its topic, then of its properties */
	__u32 topic;	 /* first byte of its topic */
	__u16 topic_len; /* bytes */
	__u16 alias;	 /* its topic alias; 0: none so far */
};
static_assert(sizeof(struct stream) == 32, "ABI");

/* The order: fields for each packet, then fields for a usual PUBLISH, then the rest.
 * Fields without another unit are sequence numbers, host order.
 */
struct flow {
	__u64 seen_at_ns;
	/* One past the highest byte that the client has sent; bytes before it may be
	 * missing.
	 */
	__u32 edge;
	__u16 real; /* index into `reals`; 0: to be picked */
	__u16 group;
	__u16 flags; /* enum flow_flags */
	__u8 state;  /* enum flow_state */
	__u8 gaps;   /* number of times that the stream was blind, at most MAX_GAPS */
	__u32 generation; /* generation of the routes that judged `topic_hash` */
	__u64 topic_hash; /* hash of the last judged topic; 0: none */
	struct stream stream;
	__u32 isn;
	__u16 prior_group; /* predicted before this flow taught */
	__u16 early;	   /* number of its segments in `early_segments` */
	/* Segments of the flow in `early_segments`; valid with FLOW_EARLY only. */
	__u32 first_early; /* the lowest sequence number */
	__u32 last_early;  /* the highest */
	/* Time when the gap began, or when the stream last went on at it. Before the
	 * first gap: when the client first sent something after its SYN. Unit: 1 <<
	 * GAP_SHIFT ns.
	 */
	__u32 gap_began;
	/* Acknowledgement number of the last segment at the edge. */
	__u32 acked;
	/* Acknowledgement number of the segment with the CONNECT: the broker's first
	 * sequence number. Later segments acknowledge no less. 0: unknown (ABI 4).
	 */
	__u32 connect_ack;
	/* Reserved: one past the last byte of the answers that the broker owes so far
	 * (CONNACK, PUBACK, PUBREC, PUBCOMP, PINGRESP). A client that acknowledges it
	 * has all of them.
	 */
	__u32 broker_end;
	/* Reserved: what the SYN offered. MSS / 4 in the upper 12 bits (RFC 9293
	 * §3.7.1), the window scale in the lower 4, NO_SCALE: none (RFC 7323 §2.2).
	 */
	__u16 syn_offer;
	__u16 keep_alive; /* of the CONNECT (MQTT 5.0 §3.1.2.10), seconds; 0: none */
	__u16 open_qos2;  /* PUBLISHes of QoS 2 whose PUBREL has not come */
	__u16 spent;	  /* work in excess of what its segments may cost (xdp/work.h) */
};
static_assert(sizeof(struct flow) == 104, "ABI");

/* This many gaps and more count as one. Aliases set before a gap may have been changed in
 * it, so they are not valid any more.
 */
#define MAX_GAPS 255
#define NO_SCALE 15 /* in `syn_offer`; the highest scale is 14 */
/* Value of `open_qos2`: parts of the stream were not read, or the number is too high. */
#define QOS2_UNKNOWN 0xffff

/* The flow table is five maps, so that most packets need no look-up in a hash:
 * `flows`	   array: the connections, each at its own place; place 0 is not used
 * `places`	   hash, struct flow_key to place: where a flow really is
 * `hints`	   array, by a hash of the key: where a flow may be; the place itself
 *		   tells whether it is there, so wrong hints do no harm
 * `free_places`   stack: places that were given back
 * `places_taken`  one entry: places above it have never been used
 *
 * Two cache lines; the first has everything that a packet without news needs. A free
 *place has the state 0 and no key.
 */
struct flow_place {
	struct flow_key key;
	__u32 claim; /* enum place_claim; place 0: see below */
	struct flow flow;
};
static_assert(sizeof(struct flow_place) == 128, "ABI");
static_assert(__builtin_offsetof(struct flow_place, flow.stream.kept) == 64,
	      "the first cache line");

/* Kernel and daemon take a place by comparing and exchanging its `claim`. So a number
 * that is in `free_places` twice does no harm.
 *
 * The `claim` of place 0 is the number of the place that the daemon is giving back. If
 * the daemon is killed meanwhile, the next one completes this.
 */
enum place_claim {
	PLACE_FREE = 0,
	PLACE_TAKEN = 1,
};

/* A value of `hints`: one cache line. */
#define HINTS_PER_ROW 16
struct hint_row {
	__u32 place[HINTS_PER_ROW];
};
static_assert(sizeof(struct hint_row) == 64, "ABI");

/* ---- map `topics`: texts that are needed after their segment -------------- */

struct topic_key {
	struct flow_key flow;
	__u16 alias; /* MQTT 5 topic alias; 0: a topic that TCP has cut */
	__u16 pad;
};
static_assert(sizeof(struct topic_key) == 24, "ABI");

struct topic_text {
	__u64 words[TOPIC_ROOM];
	__u64 hash; /* topic_hash() for an alias, otherwise 0 */
	__u32 seq;  /* of the first byte; for an alias, mark_of_aliases() */
	__u16 len;  /* length of the whole topic, bytes */
	__u16 have; /* number of its first bytes that are here */
};
static_assert(sizeof(struct topic_text) == TOPIC_ROOM * 8 + 16, "ABI");

/* ---- map `early_segments`: payloads ahead of a missing segment ------------ */

enum early_bits {
	EARLY_LEN = (1 << 27) - 1, /* the length */
	/* The place that a flow left by a leap. `bytes` contain the struct flow from
	   then. */
	EARLY_PLACE = 1 << 27,
	/* Consecutive segments without news, of which no bytes are kept. */
	EARLY_RUN = 1 << 28,
	EARLY_AGREES = 1 << 29, /* it repeats earlier bytes correctly */
	EARLY_FIN = 1 << 30,	/* it ends with a FIN */
};

struct early_key {
	struct flow_key flow;
	__u32 seq; /* of the first byte, host order */
};
static_assert(sizeof(struct early_key) == 24, "ABI");

/* The share of a client, by address. */
struct early_share {
	__u32 window; /* number of the present window */
	__u32 kept;   /* segments kept in it and not yet judged */
};
static_assert(sizeof(struct early_share) == 8, "ABI");

struct early_segment {
	__u8 bytes[EARLY_BYTES];
	__u32 len; /* bytes of the segment; the upper bits are enum early_bits */
	__u32 next, previous; /* sequence numbers of its neighbours, or its own */
};
static_assert(sizeof(struct early_segment) == EARLY_BYTES + 12, "ABI");

/* ---- map `settings` (one entry) ------------------------------------------ */

struct settings {
	__u32 generation;	      /* generation of the routes in force */
	__u32 resets_per_second;      /* for all clients */
	__u32 resets_per_client;      /* in RESET_WINDOW_S */
	__u32 connections_per_client; /* tracked ones */
	__u32 link_mtu;		      /* bytes, without the Ethernet header */
	__u32 abi;		      /* REMORA_ABI, at this place in every ABI */
	/* Sources of outer headers to IPv4 and to IPv6 reals; `::`: Katran's. */
	struct address outer_source4;
	struct address outer_source6;
	/* Offset from CLOCK_MONOTONIC to the times of lessons. */
	__u64 lesson_clock_ns;
	__u32 asks_all; /* every client is asked at its SYN: the flow table is nearly full
			 */
	/* Changes between groups from which on connections of an address are kept; 0:
	 * never. */
	__u32 changes_per_day;
};
static_assert(sizeof(struct settings) == 72, "ABI");
static_assert(__builtin_offsetof(struct settings, abi) == 20, "every ABI");

/* ---- map `reset_budget` (one entry): the token bucket ---------------------- */

struct reset_budget {
	__u32 lock; /* struct bpf_spin_lock to the kernel */
	__u32 tokens;
	__u64 filled_at_ns;
};
static_assert(sizeof(struct reset_budget) == 16, "ABI");

/* ---- map `reset_shares`: the tokens that each network has taken ---------------- */

/* The clients whose addresses begin with `bits` bits of `prefix`. */
struct network {
	__u64 prefix; /* of IPv6, the upper half of the address; of IPv4, all of it in the
			 upper half of this; host order, what is beyond `bits` is 0 */
	__u32 bits;   /* 8, 16, 24: IPv4; 32, 48, 64: IPv6 */
	__u32 pad;
};
static_assert(sizeof(struct network) == 16, "ABI");

struct reset_share {
	__u64 filled_at_ns; /* the filling of the bucket to which `taken` belongs */
	__u32 taken;
	__u32 pad;
};
static_assert(sizeof(struct reset_share) == 16, "ABI");

/* ---- map `names`: numbers that outlive the daemon --------------------------- */

enum name_kind {
	NAME_GROUP = 1,
	NAME_SERVICE = 2,
};

struct name_key {
	__u8 kind; /* enum name_kind */
	char name[63];
};
static_assert(sizeof(struct name_key) == 64, "ABI");

/* ---- map `drains`: reals that take no new connections --------------------- */

/* The existence of a key counts; its value is 1. */
struct drain_key {
	struct address real;
	__u16 group;
	__u16 pad;
};
static_assert(sizeof(struct drain_key) == 20, "ABI");

/* ---- map `deaths`: reals whose checks fail ------------------------------------ */

/* Key and value are like those of `drains`. */

/* ---- map `ring_reading`: records that have ended something ---------------------- */

/* For the next daemon: a record that is read again must not end anything again. */
struct ring_reading {
	__u32 ring; /* id of the map `events` */
	__u32 pad;
	__u64 ended_to; /* position after the last record that ended something */
};
static_assert(sizeof(struct ring_reading) == 16, "ABI");

/* ---- maps `checks` and `check_flows`: health checks --------------------------- */

/* Key: the check address (`struct address`) to which the daemon connects, of the
 * service's family.
 */
struct check_way {
	struct address service;	    /* in the TCP checksum; answers come from it */
	struct address destination; /* in the packet: the service, or a VIP for Katran */
	struct address real;	    /* in the outer header */
};
static_assert(sizeof(struct check_way) == 48, "ABI");

/* A check under way, identified by the ends in its answers. Value: its check address. */
struct check_flow_key {
	struct address local, service;
	__be16 local_port, service_port;
};
static_assert(sizeof(struct check_flow_key) == 36, "ABI");

#define MAX_CHECKS	65536
#define MAX_CHECK_FLOWS 4096

/* ---- map `heartbeat` (one entry): the daemon is alive --------------------- */

struct heartbeat {
	__u64 beat_at_ns;
};

/* ---- map `router_room` (one entry): the room at the router ------------------ */

/* Written by the daemon with each heartbeat. All 0: there was never a router. */
struct router_room {
	__u64 beat_at_ns;  /* when the router was last alive; 0: it has stopped */
	__u32 connections; /* number that it takes until the next heartbeat */
	__u32 per_second;  /* largest number of SYNs */
};
static_assert(sizeof(struct router_room) == 16, "ABI");

/* ---- map `router_budget` (one entry): the room that was used ---------------- */

struct router_budget {
	__u32 lock;   /* struct bpf_spin_lock to the kernel */
	__u32 tokens; /* SYNs left in this second */
	__u64 filled_at_ns;
	__u64 beat_at_ns; /* the `router_room` to which `taken` belongs */
	__u32 taken;
	__u32 pad;
};
static_assert(sizeof(struct router_budget) == 32, "ABI");

/* ---- map `client_ways`: clients that cannot be predicted ---------------------- */

enum way {
	WAY_ROUTER = 1,	 /* publishes to several groups, or shares its address */
	WAY_DEFAULT = 2, /* speaks no MQTT: goes to the default group */
};

/* Key: struct client_key. Valid for a day. */
struct client_way {
	__u64 seen_at_ns;
	__u32 way; /* enum way */
	__u32 pad;
};
static_assert(sizeof(struct client_way) == 16, "ABI");

/* ---- Katran's map ABI ------------------------------------------------------ */

/* `ch_rings`: vip_num * RING_SIZE + slot -> index into `reals` (0: none). */

/* `reals` */
struct real {
	__be32 address[4]; /* IPv4 in the first word, the rest 0 */
	__u8 flags;	   /* REAL_IPV6 */
	__u8 pad[3];
};
#define REAL_IPV6 1
static_assert(sizeof(struct real) == 20, "ABI");

/* `ctl_array`, index 0 */
struct gateway {
	__u8 mac[6];
	__u8 pad[2];
};
static_assert(sizeof(struct gateway) == 8, "ABI");

/* `stats`: per VIP number, per CPU */
struct vip_stats {
	__u64 packets;
	__u64 bytes;
};
static_assert(sizeof(struct vip_stats) == 16, "ABI");

/* ---- data that the stage leaves with a packet ----------------------------- */

/* Per-CPU slot between the mqtt stage and the embedded forwarder. `real` is 0
 * except between the two, so that other traffic costs no write.
 */
struct handoff {
	__u32 real;
	__u16 vip_num;
	__u16 affinity; /* enum affinity of the group */
};
static_assert(sizeof(struct handoff) == 8, "ABI");

/* XDP metadata of a mispredicted segment on its way to the TC probe: at most 32
 * bytes (Linux < 6.5). The sequence number keeps GRO from merging two of them.
 */
struct mark {
	__u32 magic; /* MARK_MAGIC */
	__u32 seq;   /* sequence number of the first payload byte */
	__u32 isn;   /* reserved: the flow's, as in struct event */
	__u32 real;
	__u16 from_group;
	__u16 to_group;
	__u16 service;
	__u16 publish_offset; /* offset of the mispredicted PUBLISH in the payload */
	__u16 topic_offset;
	__u16 topic_len;
	__u16 flags; /* enum event_flags */
	__u8 action; /* enum action */
	__u8 reason; /* reserved: why the action is no other one */
};
/* Includes the ABI: a probe ignores the marks of a stage with another ABI. */
#define MARK_MAGIC (0x72656d00 + REMORA_ABI)
static_assert(sizeof(struct mark) == 32, "ABI");

/* ---- ring `events` --------------------------------------------------------- */

enum action {
	ACTION_LEARNED = 1, /* predicted correctly; the client or its topic is new */
	ACTION_RESET = 2,
	ACTION_KEPT = 3,
	ACTION_DROPPED = 4,
	ACTION_PIECE = 5,    /* a piece of a topic that the kernel leaves to the daemon */
	ACTION_UNJUDGED = 6, /* the stream costs too much to judge */
	ACTION_CHANGING = 7, /* kept, because its address keeps moving between groups */
	ACTION_END,
};

enum event_flags {
	EVENT_SEGMENT = 1,	 /* the data is the whole segment's payload */
	EVENT_BEGAN_EARLIER = 2, /* the PUBLISH began in an earlier segment */
	EVENT_RESET_SENT = 4,	 /* the kernel has sent the RST */
	EVENT_TRUNCATED = 8,	 /* the payload was longer than MAX_SEGMENT */
	EVENT_OVER_LIMIT = 16,	 /* kept because of a limit, not by policy */
	EVENT_TOPIC_APART = 32,	 /* the topic is in another record, before this one */
	EVENT_EVACUATED = 64, /* not a mispredict: the client must come back elsewhere */
	EVENT_TELL = 128,     /* MQTT 5 and idle: a DISCONNECT may tell the client */
};

/* A judged PUBLISH, followed by `data_len` bytes: its topic (ACTION_LEARNED,
 * ACTION_KEPT and ACTION_CHANGING, sent by the mqtt stage) or, with EVENT_SEGMENT, the
 * whole payload (sent by the probe). Further bytes of the record have no meaning.
 *
 * ACTION_PIECE: the data is the piece of a topic that lies in one segment.
 * `topic_len` is the whole topic's, `topic_offset` where the piece begins in it,
 * and `seq` the number of the topic's first byte: pieces of one flow with the same
 * `seq` belong together. The first has `topic_offset` 0.
 *
 * ACTION_UNJUDGED has no data. A flow gets at most one.
 */
struct event {
	__u64 seen_at_ns;
	struct flow_key flow;
	__u32 seq; /* of the first payload byte; these four only with EVENT_SEGMENT */
	__u32 ack; /* the client's acknowledgement number */
	__u32 real;
	__u16 publish_offset; /* offset of the PUBLISH in the data */
	__u16 from_group;
	__u16 to_group;
	__u16 topic_offset; /* in the data */
	__u16 topic_len;    /* bytes (MQTT 3.1.1 §1.5.3) */
	__u16 data_len;
	__u16 flags;  /* enum event_flags */
	__u16 window; /* reserved: the segment's, not scaled; with EVENT_SEGMENT */
	__u32 isn; /* reserved: the flow's, which tells it from others of the same port */
	__u32 time;  /* time of the lesson, as in the prediction; 0: see the prediction */
	__u8 action; /* enum action */
	__u8 reason; /* reserved: why the action is no other one */
	__u8 options_len;
	__u8 options[40]; /* the segment's TCP options */
	__u8 pad[5];
};
static_assert(sizeof(struct event) == 112, "ABI");

/* ---- map `messages`: PUBLISHes by group, QoS and verdict, per CPU ------------ */

/* Each PUBLISH of a tracked connection is counted once, for the group of its flow. */
enum message_verdict {
	MESSAGE_UNJUDGED = 0, /* not judged; sent to the flow's real */
	MESSAGE_RIGHT = 1,    /* its topic belongs to the flow's group; sent */
	MESSAGE_WRONG = 2,    /* its topic belongs to another group; sent all the same */
	MESSAGE_WITHHELD = 3, /* as before, but kept from the wrong broker */
};

#define MESSAGE_KINDS 16 /* kind of a message: 4 * verdict + QoS */

/* A value of `messages`; index: the number of the group. */
struct message_counts {
	__u64 of[MESSAGE_KINDS];
};
static_assert(sizeof(struct message_counts) == 128, "ABI");

/* ---- map `counters`: events, per CPU --------------------------------------- */

/* Index: enum counter of bpf/counters.h. */
