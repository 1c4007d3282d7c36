/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The embedded forwarder: wraps the packet for the real that the mqtt stage chose (RFC
 * 2003, RFC 2473) and sends it to the gateway. The inner packet carries the service
 * address, so a broker needs only a decapsulating device.
 *
 * IPv4 goes into IPv4 or IPv6, IPv6 into IPv6, as with Katran. VLAN tags stay at the
 * front.
 */
#include "bpf/outer.h"
#include "bpf/settings.h"
#include "xdp/chain.h"
#include "xdp/katran_maps.h"

/* Length of the link header with one tag or two. */
#define TAGGED	     (ETH_HLEN + VLAN_TAG_LEN)
#define TWICE_TAGGED (ETH_HLEN + 2 * VLAN_TAG_LEN)

/* The packet's destination, and the facts that its outer header needs. */
struct parcel {
	const struct real *real;
	const struct gateway *gateway;
	const struct settings *set;
	struct inner inner;
	__u32 vip_num;
	__u32 affinity; /* enum affinity */
};

/* The port with which the outer source varies. */
static __always_inline __be16 varying_port(const struct parcel *parcel, __be16 port)
{
	return parcel->affinity == AFFINITY_CLIENT ? 0 : port;
}

/* Copies words, because clang would copy bytes that may be unaligned. */
static __always_inline void copy_mac(void *to, const void *from)
{
	*(__u32 *)to = *(const __u32 *)from;
	*((__u16 *)to + 2) = *((const __u16 *)from + 2);
}

static __always_inline void account(__u32 vip_num, __u32 bytes)
{
	struct vip_stats *vip = bpf_map_lookup_elem(&stats, &vip_num);

	if (vip) {
		vip->packets += 1;
		vip->bytes += bytes;
	}
}

static __always_inline int drop(__u32 reason)
{
	count(reason);
	return XDP_DROP;
}

/* Reads the IPv4 packet after a link header of `link` bytes. Returns 0 on success. */
static __always_inline int read_ipv4(struct xdp_md *ctx, __u32 link,
				     struct parcel *parcel)
{
	const struct iphdr *inner = (void *)(long)ctx->data + link;

	if ((void *)(inner + 1) + 4 > (void *)(long)ctx->data_end)
		return -1;
	parcel->inner.client = inner->saddr;
	parcel->inner.port = varying_port(parcel, *(const __be16 *)(inner + 1));
	parcel->inner.len = net_to_host16(inner->tot_len);
	parcel->inner.tos = inner->tos;
	return 0;
}

static __always_inline int read_ipv6(struct xdp_md *ctx, __u32 link,
				     struct parcel *parcel)
{
	const struct ipv6_header *inner = (void *)(long)ctx->data + link;

	if ((void *)(inner + 1) + 4 > (void *)(long)ctx->data_end)
		return -1;
	parcel->inner.client = inner->source.word[3];
	parcel->inner.port = varying_port(parcel, *(const __be16 *)(inner + 1));
	parcel->inner.len = net_to_host16(inner->payload_len) + sizeof(*inner);
	parcel->inner.tos = net_to_host32(inner->version) >> 20;
	return 0;
}

/* Makes room for an outer header of `grown` bytes, and writes the link header again, to
 * the gateway. Returns the place of the outer header, 0 after a drop.
 */
static __always_inline void *make_room(struct xdp_md *ctx, __u32 link, __u32 grown,
				       const struct gateway *gateway, __be16 type)
{
	void *data, *old;

	if (bpf_xdp_adjust_head(ctx, -(int)grown)) {
		count(COUNT_NO_HEADROOM);
		return 0;
	}
	data = (void *)(long)ctx->data;
	old = data + grown;
	if (old + link > (void *)(long)ctx->data_end) {
		count(COUNT_TRUNCATED);
		return 0;
	}
	copy_mac(data + ETH_ALEN, old);
	copy_mac(data, gateway->mac);
	if (link >= TAGGED)
		*(__u32 *)(data + 12) = *(__u32 *)(old + 12);
	if (link >= TWICE_TAGGED)
		*(__u32 *)(data + 16) = *(__u32 *)(old + 16);
	*(__be16 *)(data + link - 2) = type;
	return data + link;
}

/* Encapsulates an IPv4 packet in an IPv4 header. */
static __always_inline int wrap_in_ipv4(struct xdp_md *ctx, __u32 link,
					const struct parcel *parcel)
{
	struct iphdr *outer = make_room(ctx, link, sizeof(*outer), parcel->gateway,
					host_to_net16(ETH_P_IP));

	if (!outer)
		return XDP_DROP;
	write_outer4(outer, &parcel->inner, parcel->set->outer_source4.word[3],
		     parcel->real->address);

	account(parcel->vip_num, parcel->inner.len);
	return XDP_TX;
}

/* Encapsulates a packet of either family in an IPv6 header. */
static __always_inline int wrap_in_ipv6(struct xdp_md *ctx, __u32 link, __u8 protocol,
					const struct parcel *parcel)
{
	struct ipv6_header *outer = make_room(ctx, link, sizeof(*outer), parcel->gateway,
					      host_to_net16(ETH_P_IPV6));

	if (!outer)
		return XDP_DROP;
	write_outer6(outer, protocol, &parcel->inner, &parcel->set->outer_source6,
		     parcel->real->address);

	account(parcel->vip_num, parcel->inner.len);
	return XDP_TX;
}

/* Forwards the packet after a link header of `link` bytes, which must be a constant. */
static __always_inline int wrap_behind(struct xdp_md *ctx, __u32 link, __be16 type,
				       struct parcel *parcel)
{
	int over_ipv6 = parcel->real->flags & REAL_IPV6;

	if (type == host_to_net16(ETH_P_IP)) {
		if (read_ipv4(ctx, link, parcel))
			return drop(COUNT_TRUNCATED);
		return over_ipv6 ? wrap_in_ipv6(ctx, link, IPPROTO_IPIP, parcel)
				 : wrap_in_ipv4(ctx, link, parcel);
	}
	if (!over_ipv6)
		return drop(COUNT_NO_REAL);
	if (read_ipv6(ctx, link, parcel))
		return drop(COUNT_TRUNCATED);
	return wrap_in_ipv6(ctx, link, IPPROTO_IPV6, parcel);
}

/* Wraps anything but untagged IPv4 in IPv4. */
static __noinline int wrap(struct xdp_md *ctx, struct parcel *parcel)
{
	__be16 type = 0;

	switch (link_length((void *)(long)ctx->data, (void *)(long)ctx->data_end,
			    &type)) {
	case ETH_HLEN:
		return wrap_behind(ctx, ETH_HLEN, type, parcel);
	case TAGGED:
		return wrap_behind(ctx, TAGGED, type, parcel);
	case TWICE_TAGGED:
		return wrap_behind(ctx, TWICE_TAGGED, type, parcel);
	default:
		return drop(COUNT_TRUNCATED);
	}
}

static __always_inline int is_untagged_ipv4(struct xdp_md *ctx)
{
	const __be16 *type = (void *)(long)ctx->data + 2 * ETH_ALEN;

	return (void *)(type + 1) <= (void *)(long)ctx->data_end &&
	       *type == host_to_net16(ETH_P_IP);
}

SEC("xdp")
int xdp_forward(struct xdp_md *ctx)
{
	struct handoff *handoff = own_handoff();
	const struct gateway *gateway;
	const struct settings *set;
	const struct real *real;
	__u32 index, zero = 0;

	if (!handoff || !handoff->real)
		return XDP_PASS;
	index = handoff->real;
	handoff->real = 0;

	real = bpf_map_lookup_elem(&reals, &index);
	gateway = bpf_map_lookup_elem(&ctl_array, &zero);
	set = the_settings();
	if (!real || !is_set(real->address))
		return drop(COUNT_NO_REAL);
	if (!gateway || !is_known_mac(gateway->mac))
		return drop(COUNT_NO_GATEWAY);
	if (!set)
		return XDP_ABORTED;

	/* Separate from the rest, so that the usual packet's parcel is never in memory.
	 */
	if (!(real->flags & REAL_IPV6) && is_untagged_ipv4(ctx)) {
		struct parcel parcel = { .real = real, .gateway = gateway, .set = set };

		parcel.vip_num = handoff->vip_num;
		parcel.affinity = handoff->affinity;
		if (read_ipv4(ctx, ETH_HLEN, &parcel))
			return drop(COUNT_TRUNCATED);
		return wrap_in_ipv4(ctx, ETH_HLEN, &parcel);
	} else {
		struct parcel parcel = { .real = real, .gateway = gateway, .set = set };

		parcel.vip_num = handoff->vip_num;
		parcel.affinity = handoff->affinity;
		return wrap(ctx, &parcel);
	}
}

char LICENSE[] SEC("license") = "GPL";
