/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Decides which packets go up to the router, a part of the daemon that ends connections
 * on this host through the kernel's own TCP. Such a connection has no flow; the kernel's
 * socket tells which segments belong to it.
 *
 * A segment from the middle of a stream must not reach the listening socket, which would
 * reset its connection. So only SYNs, segments of other sockets, and answers to the
 * kernel's SYN cookies go up.
 */
#pragma once

#include "xdp/packet.h"

/* Two values of the kernel's enum (BPF_TCP_TIME_WAIT, BPF_TCP_LISTEN). */
#define SOCKET_RESTS   6
#define SOCKET_LISTENS 10

#define WAY_COUNTS_NS (24 * 3600 * NS_PER_S)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct router_room);
} router_room SEC(".maps");

/* struct router_budget of bpf/abi.h, with the kernel's name for its lock. */
struct locked_router_budget {
	struct bpf_spin_lock lock;
	__u32 tokens;
	__u64 filled_at_ns;
	__u64 beat_at_ns;
	__u32 taken;
	__u32 pad;
};
static_assert(sizeof(struct locked_router_budget) == sizeof(struct router_budget), "ABI");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct locked_router_budget);
} router_budget SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct client_key);
	__type(value, struct client_way);
} client_ways SEC(".maps");

/* The room that the router has; 0: it has no room, and never had. */
static __always_inline const struct router_room *the_router(void)
{
	__u32 zero = 0;
	const struct router_room *room = bpf_map_lookup_elem(&router_room, &zero);

	return room && room->beat_at_ns ? room : 0;
}

/* The address and port of the packet's service. */
static __always_inline const struct service_key *place_of(const struct packet *pkt)
{
	const struct recent *recent =
		(const void *)pkt->service - __builtin_offsetof(struct recent, service);

	return &recent->at;
}

/* The tuple of the packet's connection for the kernel's look-up of sockets, with `port`
 * as the client's. Returns its size in bytes.
 */
static __always_inline __u32 fill_tuple(const struct packet *pkt, __be16 port,
					struct bpf_sock_tuple *tuple)
{
	const struct service_key *place = place_of(pkt);

	if (is_ipv4(&pkt->key.client)) {
		tuple->ipv4.saddr = pkt->key.client.word[3];
		tuple->ipv4.daddr = place->address.word[3];
		tuple->ipv4.sport = port;
		tuple->ipv4.dport = place->port;
		return sizeof(tuple->ipv4);
	}
	__builtin_memcpy(tuple->ipv6.saddr, &pkt->key.client, sizeof(tuple->ipv6.saddr));
	__builtin_memcpy(tuple->ipv6.daddr, &place->address, sizeof(tuple->ipv6.daddr));
	tuple->ipv6.sport = port;
	tuple->ipv6.dport = place->port;
	return sizeof(tuple->ipv6);
}

/* The state of the socket that gets packets from `port` of the client; 0: there is
 * none.
 */
static __noinline __u32 socket_state(const struct packet *pkt, __be16 port)
{
	struct bpf_sock_tuple tuple;
	__u32 size = fill_tuple(pkt, port, &tuple), state;
	struct bpf_sock *sock;

	sock = size == sizeof(tuple.ipv4)
		       ? bpf_skc_lookup_tcp(pkt->ctx, &tuple, sizeof(tuple.ipv4),
					    BPF_F_CURRENT_NETNS, 0)
		       : bpf_skc_lookup_tcp(pkt->ctx, &tuple, sizeof(tuple.ipv6),
					    BPF_F_CURRENT_NETNS, 0);
	if (!sock)
		return 0;
	state = sock->state;
	bpf_sk_release(sock);
	return state;
}

/* No connection has port 0, so only a listening socket matches it. */
static __always_inline int router_listens(const struct packet *pkt)
{
	return socket_state(pkt, 0) == SOCKET_LISTENS;
}

/* IP and TCP header of a packet without IP options. */
struct headers4 {
	struct iphdr ip;
	struct tcphdr tcp;
};

struct headers6 {
	struct ipv6_header ip;
	struct tcphdr tcp;
};

/* Whether the segment acknowledges a SYN cookie of the listening socket. */
static __noinline int answers_cookie4(const struct packet *pkt)
{
	const struct segment *tcp = pkt->tcp;
	__u32 ip_offset = tcp->payload_offset - (tcp->ip_len - tcp->payload_len);
	struct headers4 headers;
	struct bpf_sock_tuple tuple;
	struct bpf_sock *sock;
	int answers;

	if (bpf_xdp_load_bytes(pkt->ctx, ip_offset, &headers, sizeof(headers)))
		return 0;
	fill_tuple(pkt, pkt->key.port, &tuple);
	sock = bpf_skc_lookup_tcp(pkt->ctx, &tuple, sizeof(tuple.ipv4),
				  BPF_F_CURRENT_NETNS, 0);
	if (!sock)
		return 0;
	answers = sock->state == SOCKET_LISTENS &&
		  bpf_tcp_check_syncookie(sock, &headers.ip, sizeof(headers.ip),
					  &headers.tcp, sizeof(headers.tcp)) == 0;
	bpf_sk_release(sock);
	return answers;
}

static __noinline int answers_cookie6(const struct packet *pkt)
{
	const struct segment *tcp = pkt->tcp;
	__u32 ip_offset = tcp->payload_offset - (tcp->ip_len - tcp->payload_len);
	struct headers6 headers;
	struct bpf_sock_tuple tuple;
	struct bpf_sock *sock;
	int answers;

	if (bpf_xdp_load_bytes(pkt->ctx, ip_offset, &headers, sizeof(headers)))
		return 0;
	fill_tuple(pkt, pkt->key.port, &tuple);
	sock = bpf_skc_lookup_tcp(pkt->ctx, &tuple, sizeof(tuple.ipv6),
				  BPF_F_CURRENT_NETNS, 0);
	if (!sock)
		return 0;
	answers = sock->state == SOCKET_LISTENS &&
		  bpf_tcp_check_syncookie(sock, &headers.ip, sizeof(headers.ip),
					  &headers.tcp, sizeof(headers.tcp)) == 0;
	bpf_sk_release(sock);
	return answers;
}

/* Whether a segment without a flow, except a SYN, belongs to a connection of the router.
 */
static __noinline int is_routed(const struct packet *pkt)
{
	__u32 state;

	if (!the_router())
		return 0;
	state = socket_state(pkt, pkt->key.port);
	if (!state)
		return 0;
	if (state != SOCKET_LISTENS)
		return 1;
	if ((pkt->tcp->flags & (SEGMENT_ACK | SEGMENT_RST)) != SEGMENT_ACK)
		return 0;
	return is_ipv4(&pkt->key.client) ? answers_cookie4(pkt) : answers_cookie6(pkt);
}

/* Takes a place at the router. Returns 0, or the counter of the reason against it. */
static __noinline __u32 take_place(const struct packet *pkt,
				   const struct router_room *room)
{
	__u32 zero = 0, refused = 0, limit = room->connections;
	__u32 per_second = room->per_second;
	struct locked_router_budget *budget = bpf_map_lookup_elem(&router_budget, &zero);
	__u64 beat_at_ns = room->beat_at_ns;

	if (!budget)
		return COUNT_ROUTER_ABSENT;
	bpf_spin_lock(&budget->lock);
	if (budget->beat_at_ns != beat_at_ns) {
		budget->beat_at_ns = beat_at_ns;
		budget->taken = 0;
	}
	if (is_over(budget->filled_at_ns, pkt->now_ns, NS_PER_S)) {
		budget->filled_at_ns = pkt->now_ns;
		budget->tokens = per_second;
	}
	if (budget->taken >= limit) {
		refused = COUNT_ROUTER_FULL;
	} else if (!budget->tokens) {
		refused = COUNT_ROUTER_RATE;
	} else {
		budget->taken++;
		budget->tokens--;
	}
	bpf_spin_unlock(&budget->lock);
	return refused;
}

/* The fixed way of the client's connections: enum way; 0: as predicted. */
static __noinline __u32 way_of(const struct packet *pkt)
{
	struct client_key key = { pkt->key.client, pkt->key.service, 0 };
	const struct client_way *known = bpf_map_lookup_elem(&client_ways, &key);

	return known && !is_over(known->seen_at_ns, pkt->now_ns, WAY_COUNTS_NS)
		       ? known->way
		       : 0;
}

/* Whether the daemon has been silent for too long. */
static __always_inline int is_silent(const struct packet *pkt,
				     const struct router_room *room)
{
	return is_over(room->beat_at_ns, pkt->now_ns, HEARTBEAT_STALE_S * NS_PER_S);
}

/* Whether the router would probably take the next connection of a client. */
static __always_inline int router_has_room(const struct packet *pkt)
{
	const struct router_room *room = the_router();

	return room && room->connections && pkt->service->unknown == UNKNOWN_TO_ROUTER &&
	       !is_silent(pkt, room);
}

/* Whether a SYN goes up. One of a connection that the router has always does: it is a
 * copy, or forged by a stranger. `group` is the group predicted for its client, and
 * `changes` says that the client keeps changing between groups.
 */
static __noinline int goes_to_router(const struct packet *pkt, __u32 group, __u32 changes)
{
	const struct router_room *room = the_router();
	__u32 state, way, refused;

	if (!room)
		return 0;
	state = socket_state(pkt, pkt->key.port);
	if (state && state != SOCKET_LISTENS && state != SOCKET_RESTS)
		return router_listens(pkt);
	if (pkt->service->unknown != UNKNOWN_TO_ROUTER)
		return 0;
	way = way_of(pkt);
	if (group == NO_GROUP ? way == WAY_DEFAULT : way != WAY_ROUTER && !changes)
		return 0;
	if (is_silent(pkt, room) || !router_listens(pkt))
		refused = COUNT_ROUTER_ABSENT;
	else
		refused = take_place(pkt, room);
	if (refused)
		count(refused);
	return !refused;
}
