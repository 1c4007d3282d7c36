/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A stand-in for Katran's balancer: the maps that a control plane fills, and Katran's
 * choice of a real for a new flow. It adds no outer header: a packet for real N leaves
 * unchanged, to the gateway, from the Ethernet address 02:00:00:00:00:N. It passes other
 * VIPs, protocols and links, as Katran does.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bpf/flow_hash.h"

struct vip_key {
	__be32 address[4]; /* IPv4 in the first word, the rest 0 */
	__be16 port;	   /* 0: any */
	__u8 protocol;
	__u8 pad;
};

struct vip_meta {
	__u32 flags;
	__u32 vip_num;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, struct vip_key);
	__type(value, struct vip_meta);
} vip_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4 * RING_SIZE);
	__type(key, __u32);
	__type(value, __u32);
} ch_rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct real);
} reals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct gateway);
} ctl_array SEC(".maps");

struct connection_key {
	__be32 source[4], destination[4];
	__be16 source_port, port;
	__u8 protocol;
	__u8 pad[3];
};

struct connection {
	__u32 real;
	__u32 pad;
	__u64 used_at_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 128);
	__type(key, __u32);
	__type(value, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_LRU_HASH);
			__uint(max_entries, 1000);
			__uint(key_size, sizeof(struct connection_key));
			__uint(value_size, sizeof(struct connection));
		});
} lru_mapping SEC(".maps");

/* The connection's real; that of the ring for a SYN and an unknown connection. */
static __always_inline __u32 find_real(const struct headers *headers,
				       const struct vip_key *vip, __u32 vip_num)
{
	struct connection_key key = { .source_port = headers->tcp.client_port,
				      .port = headers->tcp.service_port,
				      .protocol = IPPROTO_TCP };
	__u32 cpu = bpf_get_smp_processor_id(), slot, *real;
	void *table = bpf_map_lookup_elem(&lru_mapping, &cpu);
	struct connection fresh = {}, *known;

	__builtin_memcpy(key.source, &headers->client, sizeof(key.source));
	__builtin_memcpy(key.destination, vip->address, sizeof(key.destination));
	if (table && !(headers->tcp.flags & SEGMENT_SYN)) {
		known = bpf_map_lookup_elem(table, &key);
		if (known)
			return known->real;
	}
	slot = vip_num * RING_SIZE +
	       flow_hash(&headers->client,
			 headers->tcp.client_port | (__u32)headers->tcp.service_port
							    << 16) %
		       RING_SIZE;
	real = bpf_map_lookup_elem(&ch_rings, &slot);
	if (!real)
		return 0;
	fresh.real = *real;
	if (table)
		bpf_map_update_elem(table, &key, &fresh, BPF_ANY);
	return *real;
}

static __always_inline const struct vip_meta *find_vip(struct vip_key *key)
{
	const struct vip_meta *vip = bpf_map_lookup_elem(&vip_map, key);

	if (vip)
		return vip;
	key->port = 0;
	return bpf_map_lookup_elem(&vip_map, key);
}

SEC("xdp")
int stand_in(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct vip_key key = { .protocol = IPPROTO_TCP };
	const struct vip_meta *vip;
	const struct gateway *gateway;
	__u32 real, zero = 0;
	struct headers headers = {};
	struct ethhdr *link;

	if (parse_tcp(data, data_end, &headers) != PARSE_TCP ||
	    headers.ip_offset != ETH_HLEN)
		return XDP_PASS;
	if (headers.is_ipv6)
		__builtin_memcpy(key.address, &headers.service, sizeof(key.address));
	else
		key.address[0] = headers.service.word[3];
	key.port = headers.tcp.service_port;
	vip = find_vip(&key);
	if (!vip)
		return XDP_PASS;
	real = find_real(&headers, &key, vip->vip_num);
	gateway = bpf_map_lookup_elem(&ctl_array, &zero);
	if (!real || !bpf_map_lookup_elem(&reals, &real) || !gateway)
		return XDP_DROP;
	link = (void *)(long)ctx->data;
	if ((void *)(link + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	__builtin_memcpy(link->h_dest, gateway->mac, ETH_ALEN);
	link->h_source[5] = real;
	return XDP_TX;
}

char LICENSE[] SEC("license") = "GPL";
