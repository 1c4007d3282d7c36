/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For a broker host: removes the outer header of IPv4 in IPv4 (RFC 2003) and of IPv4 and
 * IPv6 in IPv6 (RFC 2473), and passes the inner packet to the stack. All other traffic
 * passes untouched.
 *
 * Anybody can send IPIP to this host, so only two kinds of inner packets pass: TCP to a
 * service of this broker, and ICMP errors about packets that the broker sent as that
 * service. All others are dropped and counted. If the load balancers' networks are known,
 * the outer source must be in one of them. That can be forged, so it is no
 * authentication.
 *
 * A congestion mark of the outer header is copied to the inner header (RFC 6040 §4.2).
 *
 * With Katran, the inner packet has the VIP of a group as its destination. If `vips` has
 * that VIP, the service's address replaces it, for which the TCP checksum is right.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bpf/decap.h"
#include "bpf/parse.h"
#include "bpf/readdress.h"
#include "bpf/write.h"

/* The congestion bits of a TOS or traffic class (RFC 3168 §5). */
#define ECN	       3
#define ECN_CONGESTION 3

/* An Ethernet header with all its tags. */
#define LONGEST_LINK (ETH_HLEN + VLAN_TAGS * VLAN_TAG_LEN)

/* A packet up to its TCP ports. */
struct packet4 {
	struct iphdr ip;
	__be16 source_port, port;
};

struct packet6 {
	struct ipv6_header ip;
	__be16 source_port, port;
};

/* An ICMP error up to the ports of the TCP segment that it quotes. */
struct error4 {
	struct iphdr ip;
	struct icmp_error icmp;
	struct iphdr quoted;
	__be16 service_port, client_port;
};

struct error6 {
	struct ipv6_header ip;
	struct icmp_error icmp;
	struct ipv6_header quoted;
	__be16 service_port, client_port;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_DECAP_VIPS);
	__type(key, struct service_key);
	__type(value, struct address);
} vips SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_DECAP_SERVICES);
	__type(key, struct service_key);
	__type(value, __u32);
} decap_services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, MAX_DECAP_NETWORKS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct decap_network);
	__type(value, __u32);
} decap_sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DECAP_COUNTS);
	__type(key, __u32);
	__type(value, __u64);
} decap_counts SEC(".maps");

/* Set before load. 0: outer headers from any source are removed. */
const volatile __u32 sources_are_fenced;

static __always_inline int refuse(__u32 reason)
{
	__u64 *refused = bpf_map_lookup_elem(&decap_counts, &reason);

	if (refused)
		++*refused;
	return XDP_DROP;
}

/* The length of the outer header at `ip`, 0 if there is none. `type` becomes the
 * EtherType of the inner packet.
 */
static __always_inline int outer_length(void *ip, void *data_end, __be16 *type)
{
	const struct iphdr *outer4 = ip;
	const struct ipv6_header *outer6 = ip;
	const __u8 *inner;
	__u8 protocol;

	if (*type == host_to_net16(ETH_P_IP)) {
		inner = (void *)(outer4 + 1);
		if ((void *)inner >= data_end || *(__u8 *)outer4 != IP_PLAIN ||
		    outer4->protocol != IPPROTO_IPIP ||
		    (outer4->frag_off & host_to_net16(IP_FRAGMENT_MASK)))
			return 0;
		protocol = outer4->protocol;
	} else if (*type == host_to_net16(ETH_P_IPV6)) {
		inner = (void *)(outer6 + 1);
		if ((void *)inner >= data_end)
			return 0;
		protocol = outer6->next_header;
	} else {
		return 0;
	}
	if (protocol == IPPROTO_IPIP && *inner >> 4 == 4 &&
	    (void *)(inner + sizeof(*outer4)) <= data_end)
		*type = host_to_net16(ETH_P_IP);
	else if (protocol == IPPROTO_IPV6 && *inner >> 4 == 6 &&
		 (void *)(inner + sizeof(*outer6)) <= data_end)
		*type = host_to_net16(ETH_P_IPV6);
	else
		return 0;
	return inner - (__u8 *)ip;
}

/* The service of a VIP; NULL for an address that is no VIP. */
static __always_inline const struct address *find_service(const struct address *vip,
							  __be16 port)
{
	struct service_key key = { *vip, port, 0 };
	const struct address *service = bpf_map_lookup_elem(&vips, &key);

	if (service)
		return service;
	key.port = 0;
	return bpf_map_lookup_elem(&vips, &key);
}

static __always_inline int is_served(const struct address *service, __be16 port)
{
	struct service_key key = { *service, port, 0 };

	return bpf_map_lookup_elem(&decap_services, &key) != NULL;
}

/* Whether the ICMP error at `at` goes to a service of this broker and is about a segment
 * that the broker sent as that service.
 */
static __noinline int is_service_error4(struct xdp_md *ctx, __u32 at)
{
	struct address service;
	struct error4 error;

	if (bpf_xdp_load_bytes(ctx, at, &error, sizeof(error)) ||
	    error.icmp.type != ICMP4_UNREACHABLE || *(__u8 *)&error.quoted != IP_PLAIN ||
	    error.quoted.protocol != IPPROTO_TCP || error.ip.daddr != error.quoted.saddr)
		return 0;
	service = mapped_address(error.quoted.saddr);
	return is_served(&service, error.service_port);
}

static __noinline int is_service_error6(struct xdp_md *ctx, __u32 at)
{
	struct error6 error;

	return !bpf_xdp_load_bytes(ctx, at, &error, sizeof(error)) &&
	       (error.icmp.type == ICMP6_TOO_BIG ||
		error.icmp.type == ICMP6_UNREACHABLE) &&
	       error.quoted.next_header == IPPROTO_TCP &&
	       same_address(&error.ip.destination, &error.quoted.source) &&
	       is_served(&error.quoted.source, error.service_port);
}

/* Whether the inner packet at `at` may pass. A VIP as its destination becomes the address
 * of the service.
 */
static __noinline int admit4(struct xdp_md *ctx, __u32 at)
{
	const struct address *behind_vip;
	struct packet4 packet;
	struct address to;

	if (bpf_xdp_load_bytes(ctx, at, &packet, sizeof(packet)) ||
	    *(__u8 *)&packet.ip != IP_PLAIN ||
	    (packet.ip.frag_off & host_to_net16(IP_FRAGMENT_MASK)))
		return 0;
	if (packet.ip.protocol == IPPROTO_ICMP)
		return is_service_error4(ctx, at);
	if (packet.ip.protocol != IPPROTO_TCP)
		return 0;
	to = mapped_address(packet.ip.daddr);
	behind_vip = find_service(&to, packet.port);
	if (!behind_vip)
		return is_served(&to, packet.port);
	if (!is_served(behind_vip, packet.port))
		return 0;
	readdress_ipv4(&packet.ip, behind_vip->word[3]);
	return !bpf_xdp_store_bytes(ctx, at, &packet.ip, sizeof(packet.ip));
}

static __noinline int admit6(struct xdp_md *ctx, __u32 at)
{
	const struct address *behind_vip;
	struct packet6 packet;

	if (bpf_xdp_load_bytes(ctx, at, &packet, sizeof(packet)))
		return 0;
	if (packet.ip.next_header == IPV6_ICMP)
		return is_service_error6(ctx, at);
	if (packet.ip.next_header != IPPROTO_TCP)
		return 0;
	behind_vip = find_service(&packet.ip.destination, packet.port);
	if (!behind_vip)
		return is_served(&packet.ip.destination, packet.port);
	if (!is_served(behind_vip, packet.port))
		return 0;
	packet.ip.destination = *behind_vip;
	return !bpf_xdp_store_bytes(ctx, at, &packet.ip, sizeof(packet.ip));
}

/* Whether the outer header at `ip`, which outer_length() has read, comes from one of the
 * load balancers' networks.
 */
static __always_inline int is_from_lb(const void *ip, __u32 outer_len)
{
	const struct ipv6_header *outer6 = ip;
	const struct iphdr *outer4 = ip;
	struct decap_network source = { .bits = 128 };

	source.first = outer_len == sizeof(*outer4) ? mapped_address(outer4->saddr)
						    : outer6->source;
	return bpf_map_lookup_elem(&decap_sources, &source) != NULL;
}

/* Whether the outer header at `ip`, which outer_length() has read, is marked for
 * congestion (RFC 3168 §5).
 */
static __always_inline int is_congested(const void *ip, __u32 outer_len)
{
	const struct ipv6_header *outer6 = ip;
	const struct iphdr *outer4 = ip;
	__u32 ecn = outer_len == sizeof(*outer4) ? outer4->tos
						 : net_to_host32(outer6->version) >> 20;

	return (ecn & ECN) == ECN_CONGESTION;
}

/* Marks congestion in the IP packet at `at`. Returns whether the packet can carry the
 * mark; if not, it must be dropped (RFC 6040 §4.2).
 */
static __noinline int mark_congestion4(struct xdp_md *ctx, __u32 at)
{
	struct iphdr ip;

	if (bpf_xdp_load_bytes(ctx, at, &ip, sizeof(ip)) || !(ip.tos & ECN))
		return 0;
	set_ipv4_class(&ip, ip.tos | ECN_CONGESTION);
	return !bpf_xdp_store_bytes(ctx, at, &ip, sizeof(ip));
}

static __noinline int mark_congestion6(struct xdp_md *ctx, __u32 at)
{
	__be32 version; /* and traffic class */

	if (bpf_xdp_load_bytes(ctx, at, &version, sizeof(version)) ||
	    !(version & host_to_net32(ECN << 20)))
		return 0;
	version |= host_to_net32(ECN_CONGESTION << 20);
	return !bpf_xdp_store_bytes(ctx, at, &version, sizeof(version));
}

/* Removes `outer_len` bytes after a link header of `link_len` bytes, a constant. */
static __always_inline int strip(struct xdp_md *ctx, __u32 link_len, __u32 outer_len,
				 __be16 type)
{
	__u8 link[LONGEST_LINK];

	if (bpf_xdp_load_bytes(ctx, 0, link, link_len))
		return XDP_DROP;
	__builtin_memcpy(link + link_len - sizeof(type), &type, sizeof(type));
	if (bpf_xdp_adjust_head(ctx, (int)outer_len) ||
	    bpf_xdp_store_bytes(ctx, 0, link, link_len))
		return XDP_DROP;
	return XDP_PASS;
}

SEC("xdp")
int xdp_decap(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	__be16 type = 0;
	__u32 link_len = link_length(data, data_end, &type), outer_len, inner;
	int congested, is_ipv4;

	outer_len = link_len ? outer_length(data + link_len, data_end, &type) : 0;
	if (!outer_len)
		return XDP_PASS;
	if (sources_are_fenced && !is_from_lb(data + link_len, outer_len))
		return refuse(DECAP_FOREIGN_SOURCE);
	congested = is_congested(data + link_len, outer_len);
	inner = link_len + outer_len;
	is_ipv4 = type == host_to_net16(ETH_P_IP);
	if (is_ipv4 ? !admit4(ctx, inner) : !admit6(ctx, inner))
		return refuse(DECAP_NO_SERVICE);
	if (congested &&
	    (is_ipv4 ? !mark_congestion4(ctx, inner) : !mark_congestion6(ctx, inner)))
		return refuse(DECAP_CONGESTION);
	switch (link_len) {
	case ETH_HLEN:
		return strip(ctx, ETH_HLEN, outer_len, type);
	case ETH_HLEN + VLAN_TAG_LEN:
		return strip(ctx, ETH_HLEN + VLAN_TAG_LEN, outer_len, type);
	default:
		return strip(ctx, LONGEST_LINK, outer_len, type);
	}
}

char LICENSE[] SEC("license") = "GPL";
