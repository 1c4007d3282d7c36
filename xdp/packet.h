/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A packet to a service, as the functions of the mqtt stage pass it on, and their
 * decisions about it.
 */
#pragma once

#include "xdp/flow_table.h"
#include "xdp/scratch.h"
#include "xdp/stage_maps.h"

#define NS_PER_S 1000000000ull

/* A packet to a service and the facts known about its connection. It contains the
 * pointers, which the verifier follows only on the stack, and the input to every look-up.
 * The rest is in the scratch, because the stack is small.
 */
struct packet {
	struct xdp_md *ctx;
	const struct service *service;
	const struct settings *set;
	struct segment *tcp;
	struct flow *flow;	     /* of a tracked connection */
	struct scratch *scratch;     /* while its payload is inspected */
	struct early_segment *early; /* the walk is in this one; 0: in the packet */
	__u64 now_ns;
	struct flow_key key; /* look-ups are faster by one on the stack */
	__u32 group;	     /* where the connection goes, once that is decided */
	__u32 real;	     /* 0: to be picked */
};
static_assert(__builtin_offsetof(struct packet, key) % 8 == 0, "find_tracked()");

/* The decision about a packet. finish() in mqtt.bpf.c carries it out. */
enum outcome {
	FORWARD, /* it goes to its connection's real */
	STEER,	 /* it is for a service: steer() decides */
	PASS_ON, /* it is not for a service: the next program gets it untouched */
	PASS_UP, /* to this host's stack; the TC probe takes it if it has a mark */
	REPLY,	 /* the frame has become a reply to its sender */
	DROP,	 /* a counter says why */
	ABORT,	 /* for the verifier: a map with one entry is never empty */
};

static __always_inline enum outcome drop(__u32 reason)
{
	count(reason);
	return DROP;
}

/* Whether `period_ns` have passed. Another CPU's clock may be a tick ahead. */
static __always_inline int is_over(__u64 began_ns, __u64 now_ns, __u64 period_ns)
{
	return (__s64)(now_ns - began_ns) >= (__s64)period_ns;
}

/* The time since `gap_began`. It may lie ahead of the packet: another CPU's clock may be
 * a tick ahead, and pass_handshake() never notes the time 0. Unit: 1 << GAP_SHIFT ns.
 */
#define GAP_AHEAD 64

static __always_inline __u32 since_gap(const struct packet *pkt, const struct flow *flow)
{
	__u32 since = (__u32)(pkt->now_ns >> GAP_SHIFT) - flow->gap_began;

	return since + GAP_AHEAD < GAP_AHEAD ? 0 : since;
}
