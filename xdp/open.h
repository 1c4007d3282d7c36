/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Turns a connection into a flow: the SYN opens it, the first payload establishes it.
 */
#pragma once

#include "xdp/changes.h"
#include "xdp/credible.h"
#include "xdp/give_way.h"
#include "xdp/guards.h"
#include "xdp/half_open.h"
#include "xdp/katran_maps.h"
#include "xdp/learn.h"
#include "xdp/router.h"
#include "xdp/syn_data.h"
#include "xdp/syn_options.h"

/* The ports in the form of the TCP header. */
static __always_inline __u32 tcp_ports(const struct segment *tcp)
{
	return tcp->client_port | (__u32)tcp->service_port << 16;
}

/* Whether the connection is over, so that its port may be used again. */
static __always_inline int is_dead(const struct flow *flow)
{
	return flow->state == FLOW_CLOSING || flow->state == FLOW_CONDEMNED ||
	       flow->state == FLOW_DROPPED;
}

static __always_inline int is_living(const struct flow *flow)
{
	return flow && !is_dead(flow);
}

/* Whether nothing but the handshake is known of the connection. */
static __always_inline int is_half_open(const struct flow *flow)
{
	return flow->state == FLOW_HALF_OPEN && !(flow->flags & FLOW_REOPENED);
}

/* A copy of a SYN comes within this time after the client's next segment; unit: 1 <<
 * GAP_SHIFT ns. A later one opens a connection: some clients begin each connection with
 * the same number.
 */
#define COPY_PATIENCE 2861 /* 3 s */

/* Whether a SYN with the flow's number can be a copy of the flow's. */
static __always_inline int may_be_copied(const struct packet *pkt,
					 const struct flow *flow)
{
	if (flow->state == FLOW_HALF_OPEN && !flow->gap_began)
		return 1;
	return !is_dead(flow) && !(flow->flags & FLOW_FIN) &&
	       since_gap(pkt, flow) < COPY_PATIENCE;
}

/* The connection of which a SYN is a copy. It is half-open, or already established if the
 * copy is late: then it is the one that the port has now.
 */
static __always_inline const struct flow *find_opened(const struct packet *pkt,
						      const struct flow *established)
{
	const struct flow *opened = find_half_open(pkt, pkt->tcp->seq);

	if (!opened) {
		opened = established;
		if (opened && opened->isn != pkt->tcp->seq)
			return 0;
	}
	return opened && may_be_copied(pkt, opened) ? opened : 0;
}

/* Makes the SYN open a connection of plain TCP, in which all bytes come after the
 * handshake. Returns FORWARD on success.
 */
static __always_inline enum outcome make_plain(const struct packet *pkt)
{
	const struct segment *tcp = pkt->tcp;
	__u32 headers = sizeof(struct tcphdr) + (is_ipv4(&pkt->key.client)
							 ? sizeof(struct iphdr)
							 : sizeof(struct ipv6_header));
	__u32 options = tcp->ip_len - tcp->payload_len - headers;
	int replaced = plain_options(pkt->ctx, tcp->payload_offset - options, options);

	if (replaced < 0)
		return drop(COUNT_TRUNCATED);
	if (replaced)
		count(COUNT_SYN_OPTION);
	if (tcp->payload_len) {
		if (cut_payload(pkt->ctx))
			return drop(COUNT_TRUNCATED);
		count(COUNT_SYN_DATA);
	}
	return FORWARD;
}

/* A repeated SYN keeps its group. A SYN with another initial sequence number opens a flow
 * of its own, and does not change an old one. While the old one lives, the client
 * is asked whether the SYN is its own.
 */
static __noinline enum outcome open_flow(struct packet *pkt)
{
	struct flow *former = look_up_flow(&pkt->key);
	const struct flow *known = find_opened(pkt, former);
	const struct client *client;
	const struct group *target;
	enum outcome outcome;
	int is_asked, changes;
	__u64 rank;

	count(COUNT_SYN);
	outcome = make_plain(pkt);
	if (outcome != FORWARD)
		return outcome;
	if (known) {
		pkt->group = known->group;
		pkt->real = known->real;
		return FORWARD;
	}
	client = client_of(pkt);
	is_asked = is_to_be_asked(pkt, client);
	changes = client && is_changing(pkt, client);
	pkt->group = group_of_client(client);
	rank = pkt->group == NO_GROUP ? 0 : TABLE_RANK;
	count(rank ? COUNT_SYN_PREDICTED : COUNT_SYN_UNKNOWN);
	if (former)
		former->flags |= FLOW_REOPENED;
	if (!is_living(former) && goes_to_router(pkt, pkt->group, changes)) {
		count(COUNT_SYN_ROUTED);
		return PASS_UP;
	}
	if (pkt->group == NO_GROUP)
		pkt->group = pkt->service->default_group;
	target = find_group(pkt->group);
	pkt->real = target ? pick_real(target, &pkt->key.client, tcp_ports(pkt->tcp)) : 0;
	/* The SYNs of one port follow each other within a tick, too. */
	keep_half_open(pkt, rank, former ? bpf_ktime_get_ns() : pkt->now_ns);
	if (is_asked)
		note(pkt, CLIENT_ASKED);
	return is_living(former) || pkt->set->asks_all || is_asked ? ask_client(pkt)
								   : FORWARD;
}

static __always_inline int starts_with_connect(const struct packet *pkt)
{
	__u8 first = 0;

	return bpf_xdp_load_bytes(pkt->ctx, pkt->tcp->payload_offset, &first, 1) == 0 &&
	       first == MQTT_CONNECT << 4;
}

/* The CONNECT of a connection on the port of another one that lives, and no answer to the
 * question. So it may be forged, and does not replace the other one: it stays where the
 * half-open ones are, and is judged there.
 */
static __always_inline void go_beside(const struct packet *pkt, struct flow *opened)
{
	take_facts(pkt, opened);
	if (!(opened->flags & FLOW_EARLY))
		opened->gap_began = pkt->now_ns >> GAP_SHIFT;
	opened->flags |= FLOW_REOPENED;
	count(COUNT_ESTABLISHED);
}

/* The first payload of a half-open flow: from now on it is tracked in the table that
 * evicts nothing. Returns its entry there, or 0 if it gets none.
 */
static __noinline struct flow *establish(struct packet *pkt, struct flow *opened)
{
	struct flow *flow = look_up_flow(&pkt->key);
	int begins = starts_with_connect(pkt);
	int replaces = flow && flow->state == FLOW_ESTABLISHED;
	const struct topic_key topic = { pkt->key, 0, 0 };
	__u8 gaps = 0;

	if (is_living(flow)) {
		if (!begins)
			return 0;
		if (!(opened->flags & FLOW_ANSWERED)) {
			go_beside(pkt, opened);
			return opened;
		}
	}
	if (!replaces && count_tracked(&pkt->key, pkt->set->connections_per_client,
				       clock_of(pkt)) == CONNECTION_OVER_LIMIT) {
		count(COUNT_CLIENT_CONNECTIONS);
		return 0;
	}
	if (!flow)
		flow = add_flow(&pkt->key);
	if (!flow && make_room(pkt->now_ns))
		flow = add_flow(&pkt->key);
	if (!flow) {
		release_connection(&pkt->key);
		count(COUNT_FLOW_TABLE_FULL);
		return 0;
	}
	/* Texts of a connection that began with the same number are no longer known. */
	if (flow->isn == opened->isn)
		gaps = flow->gaps < MAX_GAPS ? flow->gaps + 1 : MAX_GAPS;
	/* Looking first spares most connections the map's lock. */
	if (bpf_map_lookup_elem(&topics, &topic))
		bpf_map_delete_elem(&topics, &topic);
	*flow = *opened;
	flow->gaps = gaps;
	take_facts(pkt, flow);
	if (!(flow->flags & FLOW_EARLY))
		flow->gap_began = pkt->now_ns >> GAP_SHIFT;
	flow->state = FLOW_ESTABLISHED;
	flow->seen_at_ns = pkt->now_ns;
	if (pkt->set->asks_all && !(flow->flags & FLOW_ANSWERED))
		flow->flags |= FLOW_DOUBTED;
	if (!begins)
		flow->stream.blind = 1;
	forget_half_open(&pkt->key, pkt->tcp->seq - 1);
	count(COUNT_ESTABLISHED);
	return flow;
}
