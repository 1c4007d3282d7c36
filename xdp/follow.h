/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The segments of a connection after its SYN: to which flow they belong, and whether the
 * flow goes on, closes, or ends.
 */
#pragma once

#include "xdp/inspect.h"
#include "xdp/open.h"

/* Bytes from the segment to the edge, in either direction. */
static __always_inline __u32 distance_to(const struct packet *pkt,
					 const struct flow *flow)
{
	__u32 ahead = pkt->tcp->seq - flow->edge;

	return (__s32)ahead < 0 ? -ahead : ahead;
}

/* Whether the segment belongs to the connection beside `flow` (go_beside()), which may be
 * none: the one whose edge is nearer has it.
 */
static __always_inline int is_of_beside(const struct packet *pkt, const struct flow *flow,
					const struct flow *beside)
{
	__u32 distance = distance_to(pkt, beside);

	return distance <= TCP_REACH && (!flow || distance < distance_to(pkt, flow));
}

/* The half-open flow of the last SYN, unless the segment is a later one of `flow`, which
 * may be 0.
 */
static __always_inline struct flow *find_opening(const struct packet *pkt,
						 const struct flow *flow)
{
	struct flow *newest = find_last_syn(&pkt->key);
	__u32 beyond = flow ? pkt->tcp->seq - flow->edge : 0;

	if (!newest)
		return 0;
	if (newest->flags & FLOW_REOPENED)
		return is_of_beside(pkt, flow, newest) ? newest : 0;
	if (pkt->tcp->flags & SEGMENT_RST) {
		/* After its SYN a client refuses packets of an earlier connection that
		 * its broker still has, with the number that this broker acknowledges.
		 * The end of the flow has one number, and one more after a FIN.
		 */
		return !flow || beyond > 1 || newest->real == flow->real ? newest : 0;
	}
	if ((flow && (!is_dead(flow) || beyond <= 1)) ||
	    pkt->tcp->seq - newest->isn > EAGER_REACH)
		return 0;
	return newest;
}

/* The flow of a segment whose 5-tuple has more than one flow, or none. The ACK of the
 * handshake and the beginning of the CONNECT carry the sequence number after the SYN's.
 * Other segments belong to the last SYN if they cannot be the tracked flow's: the CONNECT
 * is lost, late, or longer than a segment, or the client has closed without one. A
 * connection of the router has no flow, but its port may have had one.
 */
static __noinline struct flow *find_newer(const struct packet *pkt, struct flow *flow)
{
	struct flow *newer;

	/* A connection that lives keeps the segments at its edge, whatever SYNs come. */
	if (is_living(flow) && pkt->tcp->seq == flow->edge)
		return flow;
	newer = find_half_open(pkt, pkt->tcp->seq - 1);
	if (!newer)
		newer = find_opening(pkt, flow);
	if (!newer && flow && is_dead(flow) && is_routed(pkt))
		return 0;
	return newer ? newer : flow;
}

static __always_inline struct flow *find_flow(const struct packet *pkt)
{
	struct flow *flow = find_tracked(&pkt->key);

	if (flow && !(flow->flags & FLOW_REOPENED))
		return flow;
	return find_newer(pkt, flow);
}

/* A connection without a flow: the table was full, or it began at another LB. It goes to
 * the predicted group, and is never judged.
 */
static __always_inline enum outcome follow_prediction(struct packet *pkt)
{
	if (pkt->tcp->flags & SEGMENT_RST && take_answer(pkt))
		return drop(COUNT_ANSWERED);
	count(COUNT_NO_FLOW);
	pkt->group = predicted_group(pkt);
	if (pkt->group == NO_GROUP)
		pkt->group = pkt->service->default_group;
	pkt->real = 0;
	return FORWARD;
}

/* A RST counts only at the edge, or right after the SYN, where a client refuses a SYN-ACK
 * that it did not ask for. Returns whether it is the answer to a question instead.
 */
static __noinline int take_rst(const struct packet *pkt, struct flow *flow)
{
	if (pkt->tcp->seq == flow->isn + 1 && flow->edge != flow->isn + 1) {
		disown(pkt, flow);
		forget_changes(pkt);
	} else if (pkt->tcp->seq != flow->edge || flow->flags & FLOW_LEAPT) {
		return take_answer(pkt);
	}
	if (flow->state == FLOW_HALF_OPEN) {
		flow->stream.blind = 1; /* later bytes are not the client's */
		flow->flags &= ~FLOW_ANSWERED;
	} else if (flow->state != FLOW_ESTABLISHED) {
		return 0;
	}
	count(COUNT_CLOSED);
	leave_established(&pkt->key, flow, FLOW_CLOSING);
	return 0;
}

/* Each segment of a condemned connection gets a RST. */
static __noinline enum outcome refuse(const struct packet *pkt)
{
	if (pkt->flow->state == FLOW_DROPPED || pkt->tcp->flags & SEGMENT_RST ||
	    !(pkt->tcp->flags & SEGMENT_ACK))
		return drop(COUNT_CONDEMNED_DROP);
	count(COUNT_CONDEMNED_RST);
	return reply_with_rst(pkt);
}

/* After a silence of this length nothing from the broker is under way any more: the
 * client would have acknowledged it (RFC 9293 §3.8.6.3 asks for half of this time).
 */
#define QUIET_NS NS_PER_S

/* Whether the client has sent nothing but whole MQTT packets. */
static __always_inline int is_between_packets(const struct flow *flow)
{
	const struct stream *stream = &flow->stream;

	return !stream->blind && stream->phase == STREAM_HEADER && !stream->kept_len &&
	       stream->next == flow->edge;
}

/* Whether an evacuated connection can end with this segment: a bare ACK, for which the
 * daemon asks, after everything has gone to the broker. Then nothing is lost, and both
 * sides can be told. Between PUBREC and PUBREL a client does not repeat its message any
 * more, so only this broker has it. In a blind stream the packets are not known.
 */
static __always_inline int can_end(const struct packet *pkt)
{
	const struct flow *flow = pkt->flow;

	if (pkt->tcp->flags != SEGMENT_ACK || pkt->tcp->payload_len ||
	    pkt->tcp->seq != flow->edge)
		return 0;
	if (flow->state == FLOW_HURRIED && flow->stream.blind)
		return 1;
	return is_between_packets(flow) &&
	       (flow->state == FLOW_HURRIED || !flow->open_qos2);
}

/* Ends an evacuated connection, or lets it go on until it can end. */
static __noinline enum outcome let_go(struct packet *pkt)
{
	struct flow *flow = pkt->flow;
	struct mark *mark;

	if (!can_end(pkt))
		return FORWARD;
	count(COUNT_EVACUATED);
	flow->state = FLOW_CONDEMNED;
	mark = put_mark(pkt);
	if (!mark) {
		count(COUNT_NO_METADATA);
		return reply_with_rst(pkt);
	}
	mark->to_group = flow->group;
	mark->action = ACTION_RESET;
	mark->flags |= EVENT_EVACUATED | EVENT_TOPIC_APART;
	if (flow->stream.blind)
		mark->flags |= EVENT_BEGAN_EARLIER;
	if (flow->stream.flags & STREAM_MQTT5 &&
	    is_over(flow->seen_at_ns, pkt->now_ns, QUIET_NS))
		mark->flags |= EVENT_TELL;
	return PASS_UP;
}

/* A segment of a half-open flow: the end of the handshake, or a segment that comes early
 * or without a CONNECT.
 */
static __noinline void pass_handshake(const struct packet *pkt)
{
	struct flow *flow = pkt->flow;

	flow->seen_at_ns = pkt->now_ns;
	if (!flow->gap_began)
		flow->gap_began = pkt->now_ns >> GAP_SHIFT | 1;
	if (pkt->tcp->flags & SEGMENT_ACK && pkt->tcp->seq == flow->edge)
		take_facts(pkt, flow);
}

/* A segment of a tracked connection. */
static __always_inline enum outcome follow_flow(struct packet *pkt)
{
	struct flow *flow = pkt->flow;
	__u32 ahead = pkt->tcp->seq - flow->edge;
	enum outcome outcome;

	pkt->group = flow->group;
	pkt->real = flow->real;
	if (pkt->tcp->flags & SEGMENT_RST && take_rst(pkt, flow))
		return drop(COUNT_ANSWERED);
	if (flow->state >= FLOW_CONDEMNED) {
		if (flow->state < FLOW_LEAVING)
			return refuse(pkt);
		outcome = let_go(pkt);
		if (outcome != FORWARD)
			return outcome;
	}

	/* Too far away for a client: forward it without updating the flow. */
	if (ahead + TCP_REACH > 2 * TCP_REACH)
		return FORWARD;

	if (is_half_open(flow)) {
		pass_handshake(pkt);
		return FORWARD;
	}
	if (flow->seen_at_ns != pkt->now_ns) {
		flow->seen_at_ns = pkt->now_ns;
		if (!ahead)
			take_ack(pkt, flow);
	}
	if (pkt->tcp->payload_len || pkt->tcp->flags & SEGMENT_FIN)
		return inspect(pkt);
	return FORWARD;
}
