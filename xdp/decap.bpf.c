/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For a broker host whose kernel has no ipip device: strips the outer header of
 * IPv4 in IPv4 (RFC 2003) and of IPv4 and IPv6 in IPv6 (RFC 2473), and passes the inner
 * packet up. All other traffic passes untouched.
 *
 * Congestion that the outer header has met is told to the inner packet (RFC 6040 §4.2).
 *
 * Behind Katran the inner packet is addressed to the VIP of a group. Where `vips` knows
 * that one, it is addressed to the service again, for which its TCP checksum is right.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bpf/parse.h"
#include "bpf/readdress.h"

/* The bits of a TOS or traffic class that tell of congestion (RFC 3168 §5). */
#define ECN	       3
#define ECN_CONGESTION 3

/* Ethernet's header with all the tags that it may have. */
#define LONGEST_LINK (ETH_HLEN + VLAN_TAGS * VLAN_TAG_LEN)

/* What of a TCP segment stands in front of its ports' end. */
struct packet4 {
	struct iphdr ip;
	__be16 source_port, port;
};

struct packet6 {
	struct ipv6_header ip;
	__be16 source_port, port;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_DECAP_VIPS);
	__type(key, struct service_key);
	__type(value, struct address);
} vips SEC(".maps");

/* The bytes of an outer header at `ip`, 0 when it is none. `type` becomes that of the
 * inner packet.
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

/* Addresses the IP packet at `at` to the service whose VIP it has. */
static __noinline void restore_service4(struct xdp_md *ctx, __u32 at)
{
	const struct address *service;
	struct packet4 packet;
	struct address vip;

	if (bpf_xdp_load_bytes(ctx, at, &packet, sizeof(packet)) ||
	    *(__u8 *)&packet.ip != IP_PLAIN || packet.ip.protocol != IPPROTO_TCP ||
	    (packet.ip.frag_off & host_to_net16(IP_FRAGMENT_MASK)))
		return;
	vip = mapped_address(packet.ip.daddr);
	service = find_service(&vip, packet.port);
	if (!service)
		return;
	readdress_ipv4(&packet.ip, service->word[3]);
	bpf_xdp_store_bytes(ctx, at, &packet.ip, sizeof(packet.ip));
}

static __noinline void restore_service6(struct xdp_md *ctx, __u32 at)
{
	const struct address *service;
	struct packet6 packet;

	if (bpf_xdp_load_bytes(ctx, at, &packet, sizeof(packet)) ||
	    packet.ip.next_header != IPPROTO_TCP)
		return;
	service = find_service(&packet.ip.destination, packet.port);
	if (!service)
		return;
	packet.ip.destination = *service;
	bpf_xdp_store_bytes(ctx, at, &packet.ip, sizeof(packet.ip));
}

/* Whether the outer header at `ip`, which outer_length() has read, has met congestion
 * (RFC 3168 §5).
 */
static __always_inline int is_congested(const void *ip, __u32 outer_len)
{
	const struct ipv6_header *outer6 = ip;
	const struct iphdr *outer4 = ip;
	__u32 ecn = outer_len == sizeof(*outer4) ? outer4->tos
						 : net_to_host32(outer6->version) >> 20;

	return (ecn & ECN) == ECN_CONGESTION;
}

/* Tells the IP packet at `at` of congestion on the way. Returns XDP_DROP for one whose
 * ends could not hear of it (RFC 6040 §4.2).
 */
static __noinline int tell_congestion4(struct xdp_md *ctx, __u32 at)
{
	struct iphdr ip;

	if (bpf_xdp_load_bytes(ctx, at, &ip, sizeof(ip)))
		return XDP_PASS;
	if (!(ip.tos & ECN))
		return XDP_DROP;
	set_ipv4_class(&ip, ip.tos | ECN_CONGESTION);
	bpf_xdp_store_bytes(ctx, at, &ip, sizeof(ip));
	return XDP_PASS;
}

static __noinline int tell_congestion6(struct xdp_md *ctx, __u32 at)
{
	__be32 version; /* and traffic class */

	if (bpf_xdp_load_bytes(ctx, at, &version, sizeof(version)))
		return XDP_PASS;
	if (!(version & host_to_net32(ECN << 20)))
		return XDP_DROP;
	version |= host_to_net32(ECN_CONGESTION << 20);
	bpf_xdp_store_bytes(ctx, at, &version, sizeof(version));
	return XDP_PASS;
}

/* Takes `outer_len` bytes out behind a link header of `link_len`, a constant. */
static __always_inline int strip(struct xdp_md *ctx, __u32 link_len, __u32 outer_len,
				 __be16 type, int congested)
{
	__u8 link[LONGEST_LINK];
	int verdict = XDP_PASS;

	if (bpf_xdp_load_bytes(ctx, 0, link, link_len))
		return XDP_DROP;
	__builtin_memcpy(link + link_len - sizeof(type), &type, sizeof(type));
	if (bpf_xdp_adjust_head(ctx, (int)outer_len) ||
	    bpf_xdp_store_bytes(ctx, 0, link, link_len))
		return XDP_DROP;
	if (type == host_to_net16(ETH_P_IP)) {
		restore_service4(ctx, link_len);
		if (congested)
			verdict = tell_congestion4(ctx, link_len);
	} else {
		restore_service6(ctx, link_len);
		if (congested)
			verdict = tell_congestion6(ctx, link_len);
	}
	return verdict;
}

SEC("xdp")
int xdp_decap(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	__be16 type = 0;
	__u32 link_len = link_length(data, data_end, &type), outer_len;
	int congested;

	outer_len = link_len ? outer_length(data + link_len, data_end, &type) : 0;
	if (!outer_len)
		return XDP_PASS;
	congested = is_congested(data + link_len, outer_len);
	switch (link_len) {
	case ETH_HLEN:
		return strip(ctx, ETH_HLEN, outer_len, type, congested);
	case ETH_HLEN + VLAN_TAG_LEN:
		return strip(ctx, ETH_HLEN + VLAN_TAG_LEN, outer_len, type, congested);
	default:
		return strip(ctx, LONGEST_LINK, outer_len, type, congested);
	}
}

char LICENSE[] SEC("license") = "GPL";
