/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Health checks on their way to a real and back.
 *
 * The daemon connects to a private check address, one for each real, group and service.
 * A packet to such an address becomes here the packet that the forwarder would send to
 * that real: addressed to the service, and wrapped. The broker answers as the service,
 * straight to the LB, and the answer becomes one of the check address again. So a check
 * also fails if the broker runs but its decapsulation or its service address does not
 * work.
 *
 * All other traffic passes untouched.
 */
#include <stddef.h>

#include "bpf/maps.h"
#include "bpf/outer.h"
#include "bpf/settings.h"

#define TC_ACT_UNSPEC (-1) /* goes on to the next classifier */
#define TC_ACT_SHOT   2

/* The kernel has moved a VLAN tag, if any, out of the frame. */
#define IP_AT	 ETH_HLEN
#define TCP4_AT	 (IP_AT + sizeof(struct iphdr))
#define TCP6_AT	 (IP_AT + sizeof(struct ipv6_header))
#define TCP_SUM	 offsetof(struct tcphdr, check)
#define ADDRESS6 sizeof(struct address)

/* bpf_l4_csum_replace() knows it since Linux 6.16 and in some stable releases. IPv6 has
 * no header checksum that balances the change, so the sum over the whole packet stays.
 */
#define CSUM_IPV6 (1ull << 7)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_CHECKS);
	__type(key, struct address);
	__type(value, struct check_way);
} checks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_CHECK_FLOWS);
	__type(key, struct check_flow_key);
	__type(value, struct address);
} check_flows SEC(".maps");

static __always_inline int drop(__u32 reason)
{
	count(reason);
	return TC_ACT_SHOT;
}

static __always_inline int is_protocol(const struct __sk_buff *skb, __u16 type)
{
	return skb->protocol == host_to_net16(type);
}

/* Returns 0 on success. */
static __always_inline int load_address(struct __sk_buff *skb, __u32 at4, __u32 at6,
					struct address *out)
{
	if (is_protocol(skb, ETH_P_IPV6))
		return bpf_skb_load_bytes(skb, IP_AT + at6, out, sizeof(*out));
	if (!is_protocol(skb, ETH_P_IP))
		return -1;
	*out = mapped_address(0);
	return bpf_skb_load_bytes(skb, IP_AT + at4, &out->word[3], sizeof(out->word[3]));
}

/* Replaces the IPv4 address `from`, which is `at` bytes after the start of the header.
 * `summed` is what TCP's checksum counts in its place. Returns 0 on success.
 */
static __always_inline int replace4(struct __sk_buff *skb, __u32 at, __be32 from,
				    __be32 to, __be32 summed)
{
	return bpf_l4_csum_replace(skb, TCP4_AT + TCP_SUM, from, summed,
				   BPF_F_PSEUDO_HDR | sizeof(from)) ||
	       bpf_l3_csum_replace(skb, IP_AT + offsetof(struct iphdr, check), from, to,
				   sizeof(from)) ||
	       bpf_skb_store_bytes(skb, IP_AT + at, &to, sizeof(to), 0);
}

static __always_inline int replace6(struct __sk_buff *skb, __u32 at, struct address *from,
				    const struct address *to,
				    const struct address *summed)
{
	struct address new = *summed;
	__s64 change = bpf_csum_diff(from->word, sizeof(*from), new.word, sizeof(new), 0);

	if (bpf_l4_csum_replace(skb, TCP6_AT + TCP_SUM, 0, change,
				BPF_F_PSEUDO_HDR | CSUM_IPV6) &&
	    bpf_l4_csum_replace(skb, TCP6_AT + TCP_SUM, 0, change, BPF_F_PSEUDO_HDR))
		return -1;
	new = *to;
	return bpf_skb_store_bytes(skb, IP_AT + at, &new, sizeof(new), 0);
}

/* Records a SYN. If two checks use the same port at the LB, the newer one takes it. */
static __always_inline int remember(const struct address *local, const struct tcphdr *tcp,
				    const struct check_way *check,
				    const struct address *check_address)
{
	struct check_flow_key key = { *local, check->service, tcp->source, tcp->dest };

	if (!tcp->syn || tcp->ack)
		return 0;
	return bpf_map_update_elem(&check_flows, &key, check_address, BPF_ANY);
}

/* Turns the packet into one to the service. Returns 0 on success. */
static __always_inline int readdress4(struct __sk_buff *skb,
				      const struct check_way *check,
				      const struct address *check_address,
				      struct inner *inner)
{
	struct address local;
	struct iphdr ip;
	struct tcphdr tcp;

	if (bpf_skb_load_bytes(skb, IP_AT, &ip, sizeof(ip)) ||
	    bpf_skb_load_bytes(skb, TCP4_AT, &tcp, sizeof(tcp)) ||
	    *(__u8 *)&ip != IP_PLAIN || ip.protocol != IPPROTO_TCP)
		return -1;
	local = mapped_address(ip.saddr);
	inner->client = ip.saddr;
	inner->port = tcp.source;
	inner->len = net_to_host16(ip.tot_len);
	inner->tos = ip.tos;
	return remember(&local, &tcp, check, check_address) ||
	       replace4(skb, offsetof(struct iphdr, daddr), ip.daddr,
			check->destination.word[3], check->service.word[3]);
}

static __always_inline int readdress6(struct __sk_buff *skb,
				      const struct check_way *check,
				      const struct address *check_address,
				      struct inner *inner)
{
	struct ipv6_header ip;
	struct tcphdr tcp;

	if (bpf_skb_load_bytes(skb, IP_AT, &ip, sizeof(ip)) ||
	    bpf_skb_load_bytes(skb, TCP6_AT, &tcp, sizeof(tcp)) ||
	    ip.next_header != IPPROTO_TCP)
		return -1;
	inner->client = ip.source.word[3];
	inner->port = tcp.source;
	inner->len = net_to_host16(ip.payload_len) + sizeof(ip);
	inner->tos = net_to_host32(ip.version) >> 20;
	return remember(&ip.source, &tcp, check, check_address) ||
	       replace6(skb, offsetof(struct ipv6_header, destination), &ip.destination,
			&check->destination, &check->service);
}

static __always_inline int wrap4(struct __sk_buff *skb, const struct inner *inner,
				 const struct settings *set, const struct address *real)
{
	struct iphdr outer;

	write_outer4(&outer, inner, set->outer_source4.word[3], &real->word[3]);
	return bpf_skb_adjust_room(skb, sizeof(outer), BPF_ADJ_ROOM_MAC,
				   BPF_F_ADJ_ROOM_ENCAP_L3_IPV4) ||
	       bpf_skb_store_bytes(skb, IP_AT, &outer, sizeof(outer), 0);
}

static __always_inline int wrap6(struct __sk_buff *skb, const struct inner *inner,
				 __u8 protocol, const struct settings *set,
				 const struct address *real)
{
	struct ipv6_header outer;

	write_outer6(&outer, protocol, inner, &set->outer_source6, real->word);
	return bpf_skb_adjust_room(skb, sizeof(outer), BPF_ADJ_ROOM_MAC,
				   BPF_F_ADJ_ROOM_ENCAP_L3_IPV6) ||
	       bpf_skb_store_bytes(skb, IP_AT, &outer, sizeof(outer), 0);
}

/* Adds the outer header, as the forwarder does. Returns 0 on success. */
static __always_inline int wrap(struct __sk_buff *skb, const struct inner *inner,
				int is_ipv6, const struct settings *set,
				const struct address *real)
{
	__be16 type = host_to_net16(ETH_P_IP);
	int failed;

	if (is_ipv4(real)) {
		failed = is_ipv6 || wrap4(skb, inner, set, real);
	} else {
		type = host_to_net16(ETH_P_IPV6);
		failed = wrap6(skb, inner, is_ipv6 ? IPPROTO_IPV6 : IPPROTO_IPIP, set,
			       real);
	}
	return failed || bpf_skb_store_bytes(skb, 2 * ETH_ALEN, &type, sizeof(type), 0);
}

static __always_inline int send(struct __sk_buff *skb, const struct check_way *check,
				const struct address *check_address)
{
	const struct settings *set = the_settings();
	int is_ipv6 = is_protocol(skb, ETH_P_IPV6);
	const struct gateway *gateway;
	struct inner inner = {};
	__u8 mac[ETH_ALEN];
	__u32 zero = 0;

	gateway = bpf_map_lookup_elem(&ctl_array, &zero);
	if (!set || !gateway || !is_known_mac(gateway->mac))
		return drop(COUNT_NO_GATEWAY);
	__builtin_memcpy(mac, gateway->mac, sizeof(mac));
	if (is_ipv6 ? readdress6(skb, check, check_address, &inner)
		    : readdress4(skb, check, check_address, &inner))
		return drop(COUNT_TRUNCATED);
	if (wrap(skb, &inner, is_ipv6, set, &check->real) ||
	    bpf_skb_store_bytes(skb, 0, mac, sizeof(mac), 0))
		return drop(COUNT_NO_HEADROOM);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int remora_health_out(struct __sk_buff *skb)
{
	const struct check_way *check;
	struct address to;

	if (load_address(skb, offsetof(struct iphdr, daddr),
			 offsetof(struct ipv6_header, destination), &to))
		return TC_ACT_UNSPEC;
	check = bpf_map_lookup_elem(&checks, &to);
	return check ? send(skb, check, &to) : TC_ACT_UNSPEC;
}

static __always_inline int answer4(struct __sk_buff *skb)
{
	struct check_flow_key key;
	const struct address *as;
	struct iphdr ip;
	__be16 ports[2];

	if (bpf_skb_load_bytes(skb, IP_AT, &ip, sizeof(ip)) || *(__u8 *)&ip != IP_PLAIN ||
	    ip.protocol != IPPROTO_TCP ||
	    bpf_skb_load_bytes(skb, TCP4_AT, ports, sizeof(ports)))
		return TC_ACT_UNSPEC;
	key.local = mapped_address(ip.daddr);
	key.service = mapped_address(ip.saddr);
	key.local_port = ports[1];
	key.service_port = ports[0];
	as = bpf_map_lookup_elem(&check_flows, &key);
	if (!as)
		return TC_ACT_UNSPEC;
	if (replace4(skb, offsetof(struct iphdr, saddr), ip.saddr, as->word[3],
		     as->word[3]))
		return drop(COUNT_TRUNCATED);
	return TC_ACT_UNSPEC;
}

static __always_inline int answer6(struct __sk_buff *skb)
{
	struct check_flow_key key;
	const struct address *as;
	struct ipv6_header ip;
	__be16 ports[2];

	if (bpf_skb_load_bytes(skb, IP_AT, &ip, sizeof(ip)) ||
	    ip.next_header != IPPROTO_TCP ||
	    bpf_skb_load_bytes(skb, TCP6_AT, ports, sizeof(ports)))
		return TC_ACT_UNSPEC;
	key.local = ip.destination;
	key.service = ip.source;
	key.local_port = ports[1];
	key.service_port = ports[0];
	as = bpf_map_lookup_elem(&check_flows, &key);
	if (!as)
		return TC_ACT_UNSPEC;
	if (replace6(skb, offsetof(struct ipv6_header, source), &ip.source, as, as))
		return drop(COUNT_TRUNCATED);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int remora_health_in(struct __sk_buff *skb)
{
	if (is_protocol(skb, ETH_P_IP))
		return answer4(skb);
	if (is_protocol(skb, ETH_P_IPV6))
		return answer6(skb);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
