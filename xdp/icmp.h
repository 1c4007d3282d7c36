/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ICMP errors about packets on their way to a broker. They come back to the source of the
 * outer header. If that is an address of ours, the client is told, as if the service had
 * sent the error about the client's own packet (RFC 2003 §5, RFC 2473 §8).
 *
 * Anyone who knows a connection's addresses, ports and real can forge such an error; the
 * client's TCP has the same checks as against any other (RFC 5927).
 */
#pragma once

#include "bpf/settings.h"
#include "xdp/reply.h"
#include "xdp/stage_maps.h"
#include "xdp/flow_table.h"
#include "xdp/half_open.h"
#include "xdp/katran_maps.h"
#include "xdp/learn.h"

#define IPV4_MIN_MTU 68 /* RFC 791 §3.2 */

/* An ICMP error up to the client's packet, with the outer header that it quotes. */
struct icmp_quote4 {
	struct iphdr ip;
	struct icmp_error icmp;
	struct iphdr outer;
};

struct icmp_quote6 {
	struct ipv6_header ip;
	struct icmp_error icmp;
	struct ipv6_header outer;
};

/* The part of a TCP header that every quote contains. */
struct quoted_tcp {
	__be16 client_port, service_port;
	__be32 seq;
};

/* The content of an ICMP error, and working space, for which the stack is too small. */
struct translation {
	struct address real; /* destination of the quoted outer header */
	__u32 ip_offset;     /* of the frame's IP header */
	__u32 offset;	     /* of the client's packet in the frame */
	__u32 len;	     /* bytes of it that are quoted; 0: not usable */
	__u32 packet_len;    /* its original length */
	__u32 mtu;	     /* without the outer header; 0: unreachable */
	__u32 is_ipv6;	     /* whether the client's packet is IPv6 */
	union {
		struct icmp_quote4 ipv4;
		struct icmp_quote6 ipv6;
	} head;
	union {
		struct iphdr ipv4;
		struct ipv6_header ipv6;
	} quoted;
	struct quoted_tcp tcp;
	struct service_key at;
	struct half_open_key key; /* `isn`: the packet's sequence number */
	__u32 group;		  /* number of the connection's group */
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct translation);
} translations SEC(".maps");

static __always_inline struct translation *own_translation(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&translations, &zero);
}

/* Subtracts the outer header from the MTU that a router reports. Returns whether anything
 * is left: some routers report 0 (RFC 1191 §5).
 */
static __always_inline int take_mtu(struct translation *t, __u32 mtu, __u32 outer)
{
	if (mtu <= outer)
		return 0;
	t->mtu = mtu - outer;
	return 1;
}

/* Reads a router's error about a packet that we wrapped for an IPv4 real. Returns whether
 * it is one.
 */
__noinline int read_icmp4(struct xdp_md *ctx)
{
	const struct settings *set = the_settings();
	struct translation *t = own_translation();
	struct icmp_quote4 *head;
	__be32 source;
	__u32 len;

	if (!set || !t)
		return 0;
	head = &t->head.ipv4;
	source = set->outer_source4.word[3];
	if (!source || bpf_xdp_load_bytes(ctx, t->ip_offset, head, sizeof(*head)) ||
	    *(__u8 *)&head->ip != IP_PLAIN || head->ip.protocol != IPPROTO_ICMP ||
	    head->ip.frag_off & host_to_net16(IP_FRAGMENT_MASK) ||
	    head->ip.daddr != source || *(__u8 *)&head->outer != IP_PLAIN ||
	    head->outer.protocol != IPPROTO_IPIP || head->outer.saddr != source)
		return 0;
	if (head->icmp.type == ICMP4_UNREACHABLE &&
	    head->icmp.code == ICMP4_FRAG_NEEDED) {
		if (!take_mtu(t, net_to_host32(head->icmp.mtu) & 0xffff,
			      sizeof(head->outer)))
			return 1;
	} else if (head->icmp.type != ICMP4_UNREACHABLE &&
		   head->icmp.type != ICMP4_TIME_EXCEEDED) {
		return 1;
	}
	len = net_to_host16(head->ip.tot_len);
	if (len < sizeof(*head) || sum_of_frame(ctx, t->ip_offset + sizeof(head->ip),
						len - sizeof(head->ip)) != 0xffff)
		return 1;
	t->real = mapped_address(head->outer.daddr);
	t->offset = t->ip_offset + sizeof(*head);
	t->len = len - sizeof(*head);
	return 1;
}

/* Does the same for an IPv6 real. */
__noinline int read_icmp6(struct xdp_md *ctx)
{
	const struct settings *set = the_settings();
	struct translation *t = own_translation();
	const struct address *source;
	struct icmp_quote6 *head;
	__u32 len;
	int sum;

	if (!set || !t)
		return 0;
	head = &t->head.ipv6;
	source = &set->outer_source6;
	if (!(source->word[0] | source->word[1] | source->word[2] | source->word[3]) ||
	    bpf_xdp_load_bytes(ctx, t->ip_offset, head, sizeof(*head)) ||
	    head->ip.next_header != IPV6_ICMP ||
	    !same_address(&head->ip.destination, source) ||
	    !same_address(&head->outer.source, source) ||
	    (head->outer.next_header != IPPROTO_IPV6 &&
	     head->outer.next_header != IPPROTO_IPIP))
		return 0;
	if (head->icmp.type == ICMP6_TOO_BIG) {
		if (!take_mtu(t, net_to_host32(head->icmp.mtu), sizeof(head->outer)))
			return 1;
	} else if (head->icmp.type != ICMP6_UNREACHABLE &&
		   head->icmp.type != ICMP6_TIME_EXCEEDED &&
		   head->icmp.type != ICMP6_PARAMETER) {
		return 1;
	}
	len = net_to_host16(head->ip.payload_len);
	if (len < sizeof(head->icmp) + sizeof(head->outer))
		return 1;
	sum = sum_of_frame(ctx, t->ip_offset + sizeof(head->ip), len);
	if (sum < 0 || fold_checksum(sum + pseudo_sum6(&head->ip, IPV6_ICMP, len)) != 0)
		return 1;
	t->real = head->outer.destination;
	t->is_ipv6 = head->outer.next_header == IPPROTO_IPV6;
	t->offset = t->ip_offset + sizeof(*head);
	t->len = len - sizeof(head->icmp) - sizeof(head->outer);
	return 1;
}

/* Reads the ends of the quoted packet. Returns whether it is TCP. */
static __noinline int read_quoted(struct xdp_md *ctx, struct translation *t,
				  struct icmp_reply *icmp)
{
	__u32 header = t->is_ipv6 ? sizeof(t->quoted.ipv6) : sizeof(t->quoted.ipv4);

	if (t->len < header + sizeof(t->tcp) ||
	    bpf_xdp_load_bytes(ctx, t->offset + header, &t->tcp, sizeof(t->tcp)))
		return 0;
	if (t->is_ipv6) {
		struct ipv6_header *ip = &t->quoted.ipv6;

		if (bpf_xdp_load_bytes(ctx, t->offset, ip, sizeof(*ip)) ||
		    ip->next_header != IPPROTO_TCP)
			return 0;
		icmp->client = ip->source;
		icmp->service = ip->destination;
		t->packet_len = sizeof(*ip) + net_to_host16(ip->payload_len);
	} else {
		struct iphdr *ip = &t->quoted.ipv4;

		if (bpf_xdp_load_bytes(ctx, t->offset, ip, sizeof(*ip)) ||
		    *(__u8 *)ip != IP_PLAIN || ip->protocol != IPPROTO_TCP)
			return 0;
		icmp->client = mapped_address(ip->saddr);
		icmp->service = mapped_address(ip->daddr);
		t->packet_len = net_to_host16(ip->tot_len);
	}
	return 1;
}

/* Fills in the error for the client. Returns whether it is useful, which it is not if the
 * client's packet did fit.
 */
static __noinline int say(const struct translation *t, struct icmp_reply *icmp)
{
	__u32 mtu = t->mtu, least = t->is_ipv6 ? IPV6_MIN_MTU : IPV4_MIN_MTU;

	icmp->is_ipv6 = t->is_ipv6;
	icmp->ip_offset = t->ip_offset;
	icmp->quote_offset = t->offset;
	icmp->quote_len = QUOTED4;
	if (t->is_ipv6)
		icmp->quote_len = t->len < QUOTED6 ? t->len : QUOTED6;
	if (!mtu) {
		icmp->error.type = t->is_ipv6 ? ICMP6_UNREACHABLE : ICMP4_UNREACHABLE;
		icmp->error.code = t->is_ipv6 ? ICMP6_ADDRESS : ICMP4_HOST;
		icmp->error.mtu = 0;
		return 1;
	}
	/* No link has a smaller MTU, and a client would ignore it (RFC 8201 §4). */
	if (mtu < least)
		mtu = least;
	icmp->error.type = t->is_ipv6 ? ICMP6_TOO_BIG : ICMP4_UNREACHABLE;
	icmp->error.code = t->is_ipv6 ? 0 : ICMP4_FRAG_NEEDED;
	icmp->error.mtu = host_to_net32(mtu);
	return mtu < t->packet_len;
}

/* Whether the real with that index has that address. */
static __noinline int is_real(__u32 index, const struct address *address)
{
	const struct real *real = bpf_map_lookup_elem(&reals, &index);

	if (!index || !real)
		return 0;
	if (!(real->flags & REAL_IPV6))
		return is_ipv4(address) && real->address[0] == address->word[3];
	return real->address[0] == address->word[0] &&
	       real->address[1] == address->word[1] &&
	       real->address[2] == address->word[2] &&
	       real->address[3] == address->word[3];
}

/* The flow of the quoted packet, found like find_flow(), or that of a SYN. */
static __always_inline const struct flow *find_quoted(const struct half_open_key *key)
{
	const struct flow *flow = look_up_flow(&key->flow), *newer;

	if (flow && !(flow->flags & FLOW_REOPENED))
		return flow;
	newer = look_up_half_open(&key->flow, key->isn);
	if (!newer)
		newer = look_up_half_open(&key->flow, key->isn - 1);
	return newer ? newer : flow;
}

/* The real of the quoted packet's connection, 0: none; writes its group into `t`. An
 * untracked connection goes to the real that prediction and ring choose.
 */
static __noinline __u32 find_real(struct translation *t, const struct service *service)
{
	const struct flow *flow = find_quoted(&t->key);
	const struct group *group;

	if (flow) {
		t->group = flow->group;
		return flow->real;
	}
	t->group = group_of_client(look_up_client(&t->key.flow, 0));
	if (t->group == NO_GROUP)
		t->group = service->default_group;
	group = find_group(t->group);
	if (!group)
		return 0;
	return pick_real(group, &t->key.flow.client,
			 t->tcp.client_port | (__u32)t->tcp.service_port << 16);
}

/* Turns the frame into an error for the client; returns the same as translate_icmp(). */
__noinline int tell_client(struct xdp_md *ctx)
{
	struct translation *t = own_translation();
	struct reply *reply = own_reply();
	const struct service *service;
	const struct gateway *gateway;
	__u32 zero = 0;

	gateway = bpf_map_lookup_elem(&ctl_array, &zero);
	if (!t || !reply || !gateway || !read_quoted(ctx, t, &reply->icmp))
		return 0;
	t->at.address = reply->icmp.service;
	t->at.port = t->tcp.service_port;
	t->at.pad = 0;
	service = bpf_map_lookup_elem(&services, &t->at);
	if (!service)
		return 0;
	t->key.flow.client = reply->icmp.client;
	t->key.flow.port = t->tcp.client_port;
	t->key.flow.service = service->number;
	t->key.isn = net_to_host32(t->tcp.seq);
	/* Otherwise the stage does not send to the real that the router names. */
	if (!is_real(find_real(t, service), &t->real) || !say(t, &reply->icmp))
		return 0;
	__builtin_memcpy(reply->icmp.destination, gateway->mac, ETH_ALEN);
	count(COUNT_ICMP_TRANSLATED);
	return turn_into_icmp(ctx) ? -1 : 1;
}

/* Turns an ICMP error about a packet that we wrapped into one for its client. Returns 1
 * on success, 0 if the frame is unchanged, and -1 if it is not usable any more.
 */
__noinline int translate_icmp(struct xdp_md *ctx)
{
	struct translation *t = own_translation();
	int told = 0, is_ours = 0;
	__be16 type = 0;

	if (!t)
		return 0;
	t->ip_offset =
		link_length((void *)(long)ctx->data, (void *)(long)ctx->data_end, &type);
	t->len = 0;
	t->mtu = 0;
	t->is_ipv6 = 0;
	if (type == host_to_net16(ETH_P_IP))
		is_ours = read_icmp4(ctx);
	else if (type == host_to_net16(ETH_P_IPV6))
		is_ours = read_icmp6(ctx);
	if (!is_ours)
		return 0;
	if (t->len)
		told = tell_client(ctx);
	if (!told)
		count(COUNT_ICMP_UNTRANSLATED);
	return told;
}
