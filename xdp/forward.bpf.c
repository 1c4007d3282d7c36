/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The embedded forwarder: wraps the packet for the real that the mqtt stage
 * chose (IPIP, RFC 2003) and sends it to the gateway. The inner packet carries
 * the service address, so a broker needs nothing but a decapsulating device.
 */
#include "xdp/chain.h"
#include "xdp/katran_maps.h"

#define OUTER_TTL 64
/* 172.16/16 in network order: the first two octets of Katran's outer source. */
#define OUTER_NET host_to_net32(0xac100000)

/* The low half of the outer source varies with the flow, so that the NICs of
 * the brokers spread flows over their queues. Same formula as Katran's.
 */
static __always_inline __be32 outer_source(__be32 client, __be16 port)
{
	__u32 varying = ((__u32)net_to_host16(port) << 16) ^ client;

	return (varying & host_to_net32(0x0000ffff)) | OUTER_NET;
}

/* The outer header's checksum from what varies in it. A one's complement sum may be
 * taken in words of any width (RFC 1071 §2).
 */
static __always_inline __u16 outer_checksum(__be16 tot_len, __be32 source, __be32 dest)
{
	__u64 sum = (__u64)host_to_net16(IP_PLAIN << 8) + tot_len +
		    host_to_net16(OUTER_TTL << 8 | IPPROTO_IPIP) + source + dest;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* In words: clang would copy byte by byte what may be unaligned. */
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

static __always_inline int is_known_mac(const void *mac)
{
	return *(const __u32 *)mac | *((const __u16 *)mac + 2);
}

/* Puts an outer header in front of the IPv4 packet in `ctx`. */
static __always_inline int encapsulate(struct xdp_md *ctx, const struct real *real,
				       const struct gateway *gateway, __u32 vip_num)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data, *old_eth;
	struct iphdr *inner = (struct iphdr *)(eth + 1), *outer;
	__u16 inner_len;
	__be32 source;

	if ((void *)(inner + 1) + 4 > data_end)
		return drop(COUNT_TRUNCATED);
	source = outer_source(inner->saddr, *(__be16 *)(inner + 1));
	inner_len = net_to_host16(inner->tot_len);

	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(*outer)))
		return drop(COUNT_NO_HEADROOM);
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	eth = data;
	outer = (struct iphdr *)(eth + 1);
	old_eth = data + sizeof(*outer);
	if ((void *)(old_eth + 1) > data_end || (void *)(outer + 1) > data_end)
		return drop(COUNT_TRUNCATED);

	copy_mac(eth->h_source, old_eth->h_dest);
	copy_mac(eth->h_dest, gateway->mac);
	eth->h_proto = host_to_net16(ETH_P_IP);

	*(__u8 *)outer = IP_PLAIN;
	outer->tos = 0;
	outer->tot_len = host_to_net16(inner_len + sizeof(*outer));
	outer->id = 0;
	outer->frag_off = 0;
	outer->ttl = OUTER_TTL;
	outer->protocol = IPPROTO_IPIP;
	outer->saddr = source;
	outer->daddr = real->address[0];
	outer->check = outer_checksum(outer->tot_len, source, real->address[0]);

	account(vip_num, inner_len);
	return XDP_TX;
}

SEC("xdp")
int xdp_forward(struct xdp_md *ctx)
{
	struct handoff *handoff = own_handoff();
	struct gateway *gateway;
	struct real *real;
	__u32 index, zero = 0;

	if (!handoff || !handoff->real)
		return XDP_PASS;
	index = handoff->real;
	handoff->real = 0;

	real = bpf_map_lookup_elem(&reals, &index);
	gateway = bpf_map_lookup_elem(&ctl_array, &zero);
	if (!real || !real->address[0])
		return drop(COUNT_NO_REAL);
	if (!gateway || !is_known_mac(gateway->mac))
		return drop(COUNT_NO_GATEWAY);
	return encapsulate(ctx, real, gateway, handoff->vip_num);
}

char LICENSE[] SEC("license") = "GPL";
