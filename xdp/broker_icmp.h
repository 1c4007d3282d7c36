/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ICMP errors about packets that a broker sent to a client. The broker sends as the
 * service (DSR), so the errors come here. They go on to the connection's real, which
 * learns the path's MTU from them (RFC 1191, RFC 8201). Katran does the same.
 *
 * Anybody can forge them, as for any host; the broker's TCP has its own checks (RFC
 * 5927).
 */
#pragma once

#include "xdp/chain.h"
#include "xdp/icmp.h"

/* The client's port comes first, unlike in `struct quoted_tcp`. */
struct quoted_ports {
	__be16 service_port, client_port;
};

/* Reads an IPv4 error's addresses and ports. Returns whether it is about TCP. */
__noinline int read_broker_icmp4(struct xdp_md *ctx)
{
	struct translation *t = own_translation();
	struct quoted_ports ports;
	struct icmp_quote4 *head;

	if (!t)
		return 0;
	head = &t->head.ipv4;
	if (bpf_xdp_load_bytes(ctx, t->ip_offset, head, sizeof(*head)) ||
	    bpf_xdp_load_bytes(ctx, t->ip_offset + sizeof(*head), &ports,
			       sizeof(ports)) ||
	    *(__u8 *)&head->ip != IP_PLAIN || head->ip.protocol != IPPROTO_ICMP ||
	    head->ip.frag_off & host_to_net16(IP_FRAGMENT_MASK) ||
	    head->icmp.type != ICMP4_UNREACHABLE || *(__u8 *)&head->outer != IP_PLAIN ||
	    head->outer.protocol != IPPROTO_TCP || head->ip.daddr != head->outer.saddr)
		return 0;
	t->at.address = mapped_address(head->outer.saddr);
	t->key.flow.client = mapped_address(head->outer.daddr);
	t->tcp.service_port = ports.service_port;
	t->tcp.client_port = ports.client_port;
	return 1;
}

/* Does the same for IPv6. */
__noinline int read_broker_icmp6(struct xdp_md *ctx)
{
	struct translation *t = own_translation();
	struct quoted_ports ports;
	struct icmp_quote6 *head;

	if (!t)
		return 0;
	head = &t->head.ipv6;
	if (bpf_xdp_load_bytes(ctx, t->ip_offset, head, sizeof(*head)) ||
	    bpf_xdp_load_bytes(ctx, t->ip_offset + sizeof(*head), &ports,
			       sizeof(ports)) ||
	    head->ip.next_header != IPV6_ICMP ||
	    (head->icmp.type != ICMP6_TOO_BIG && head->icmp.type != ICMP6_UNREACHABLE) ||
	    head->outer.next_header != IPPROTO_TCP ||
	    !same_address(&head->ip.destination, &head->outer.source))
		return 0;
	t->at.address = head->outer.source;
	t->key.flow.client = head->outer.destination;
	t->tcp.service_port = ports.service_port;
	t->tcp.client_port = ports.client_port;
	return 1;
}

/* Lets the forwarder wrap the frame for a broker, if it is an error about a packet of
 * that broker. Only for the embedded forwarder, to which the frame must be passed on.
 */
__noinline int hand_to_broker(struct xdp_md *ctx)
{
	struct translation *t = own_translation();
	struct handoff *handoff = own_handoff();
	const struct service *service;
	const struct group *group;
	__be16 type = 0;
	__u32 real;

	if (!t || !handoff)
		return 0;
	t->ip_offset =
		link_length((void *)(long)ctx->data, (void *)(long)ctx->data_end, &type);
	if (type == host_to_net16(ETH_P_IP)	? !read_broker_icmp4(ctx)
	    : type == host_to_net16(ETH_P_IPV6) ? !read_broker_icmp6(ctx)
						: 1)
		return 0;
	t->at.port = t->tcp.service_port;
	t->at.pad = 0;
	service = bpf_map_lookup_elem(&services, &t->at);
	if (!service)
		return 0;
	t->key.flow.port = t->tcp.client_port;
	t->key.flow.service = service->number;
	t->key.isn = 0; /* unknown: the error quotes the broker's numbers */
	real = find_real(t, service);
	group = bpf_map_lookup_elem(&groups, &t->group);
	if (!real || !group)
		return 0;
	handoff->real = real;
	handoff->vip_num = group->vip_num;
	handoff->affinity = AFFINITY_CONNECTION; /* the sender is not the client */
	count(COUNT_ICMP_TO_BROKER);
	return 0;
}
