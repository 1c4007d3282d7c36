/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The TC probe: reports each mispredicted segment that the mqtt stage has marked,
 * with its whole payload, and keeps it from the stack. All other traffic of the
 * interface (including ssh) passes untouched.
 *
 * Recovery never waits for the daemon: if the ring is full or the daemon's heartbeat
 * is stale, the RST is sent from here.
 */
#include "bpf/maps.h"
#include "bpf/write.h"

#define TC_ACT_UNSPEC (-1) /* goes on to the next classifier */
#define TC_ACT_SHOT   2

#define NS_PER_S 1000000000ull

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct heartbeat);
} heartbeat SEC(".maps");

/* A record under construction: more than the stack holds. */
struct record {
	struct event event;
	__u8 payload[MAX_SEGMENT];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct record);
} records SEC(".maps");

static __always_inline int daemon_is_silent(__u64 now_ns)
{
	__u32 zero = 0;
	const struct heartbeat *beat = bpf_map_lookup_elem(&heartbeat, &zero);

	return !beat || now_ns - beat->beat_at_ns > HEARTBEAT_STALE_S * NS_PER_S;
}

/* Reads the mark that XDP left before the frame. */
static __always_inline int read_mark(struct __sk_buff *skb, struct mark *out)
{
	struct mark *mark = (void *)(long)skb->data_meta;

	if ((void *)(mark + 1) > (void *)(long)skb->data || mark->magic != MARK_MAGIC)
		return 0;
	*out = *mark;
	return 1;
}

static __always_inline void copy_payload(struct __sk_buff *skb, struct record *record,
					 __u32 offset, __u32 len)
{
	__u32 last;

	if (len > MAX_SEGMENT) {
		len = MAX_SEGMENT;
		record->event.flags |= EVENT_TRUNCATED;
	}
	last = len - 1;
	FORGET(last);
	if (last >= MAX_SEGMENT)
		return;
	if (bpf_skb_load_bytes(skb, offset, record->payload, last + 1) == 0)
		record->event.data_len = last + 1;
}

static __always_inline void copy_options(struct __sk_buff *skb, struct event *event,
					 __u32 offset, __u32 len)
{
	__u32 last = len - 1;

	FORGET(last);
	if (last >= sizeof(event->options))
		return;
	if (bpf_skb_load_bytes(skb, offset, event->options, last + 1) == 0)
		event->options_len = last + 1;
}

/* A marked segment, parsed again. */
struct marked {
	struct rst rst;
	__u32 ip_offset;
	__u32 tcp_offset;
	__u32 tcp_len;	   /* bytes of the TCP header */
	__u32 payload_len; /* bytes */
	__u32 is_ipv6;
};

/* Finds the IP header: the kernel has moved the first VLAN tag, if any, out of the
 * frame. Returns 0 on success.
 */
static __always_inline int find_ip(struct __sk_buff *skb, struct marked *segment)
{
	__be16 type = 0;

	segment->ip_offset = ETH_HLEN;
	for (int tags = 0; tags <= VLAN_TAGS; tags++) {
		if (bpf_skb_load_bytes(skb, segment->ip_offset - sizeof(type), &type,
				       sizeof(type)))
			return -1;
		if (type != host_to_net16(ETH_P_8021Q) &&
		    type != host_to_net16(ETH_P_8021AD))
			break;
		segment->ip_offset += VLAN_TAG_LEN;
	}
	segment->is_ipv6 = type == host_to_net16(ETH_P_IPV6);
	return segment->is_ipv6 || type == host_to_net16(ETH_P_IP) ? 0 : -1;
}

/* Reads the headers again. The stage marks only packets without IP options and extension
 * headers. Returns 0 on success.
 */
static __always_inline int read_segment(struct __sk_buff *skb, struct marked *segment)
{
	struct ipv6_header ip6;
	struct tcphdr tcp;
	struct iphdr ip4;
	__u32 ip_len, ip_header;

	if (find_ip(skb, segment))
		return -1;
	if (segment->is_ipv6) {
		if (bpf_skb_load_bytes(skb, segment->ip_offset, &ip6, sizeof(ip6)))
			return -1;
		segment->rst.client = ip6.source;
		segment->rst.service = ip6.destination;
		ip_header = sizeof(ip6);
		ip_len = ip_header + net_to_host16(ip6.payload_len);
	} else {
		if (bpf_skb_load_bytes(skb, segment->ip_offset, &ip4, sizeof(ip4)))
			return -1;
		segment->rst.client = mapped_address(ip4.saddr);
		segment->rst.service = mapped_address(ip4.daddr);
		ip_header = sizeof(ip4);
		ip_len = net_to_host16(ip4.tot_len);
	}
	segment->tcp_offset = segment->ip_offset + ip_header;
	if (bpf_skb_load_bytes(skb, segment->tcp_offset, &tcp, sizeof(tcp)))
		return -1;
	segment->rst.client_port = tcp.source;
	segment->rst.service_port = tcp.dest;
	segment->rst.seq = tcp.ack_seq;
	segment->tcp_len = tcp.doff * 4;
	if (segment->tcp_len < sizeof(tcp) || ip_header + segment->tcp_len > ip_len)
		return -1;
	segment->payload_len = ip_len - ip_header - segment->tcp_len;
	return 0;
}

/* Fills the CPU's record from the mark and the segment. */
static __noinline struct record *make_record(struct __sk_buff *skb,
					     const struct mark *mark,
					     const struct marked *segment, __u64 now_ns)
{
	__u32 zero = 0;
	struct record *record = bpf_map_lookup_elem(&records, &zero);
	struct event *event;

	if (!record)
		return 0;
	event = &record->event;
	__builtin_memset(event, 0, sizeof(*event));
	event->seen_at_ns = now_ns;
	event->flow.client = segment->rst.client;
	event->flow.port = segment->rst.client_port;
	event->flow.service = mark->service;
	event->seq = mark->seq;
	event->ack = net_to_host32(segment->rst.seq);
	event->real = mark->real;
	event->publish_offset = mark->publish_offset;
	event->from_group = mark->from_group;
	event->to_group = mark->to_group;
	event->topic_offset = mark->topic_offset;
	event->topic_len = mark->topic_len;
	event->action = mark->action;
	event->flags = mark->flags;
	copy_options(skb, event, segment->tcp_offset + sizeof(struct tcphdr),
		     segment->tcp_len - sizeof(struct tcphdr));
	copy_payload(skb, record, segment->tcp_offset + segment->tcp_len,
		     segment->payload_len);
	return record;
}

/* Turns the segment into a RST and sends it back. Its VLAN tags stay. */
static __noinline int send_rst(struct __sk_buff *skb, const struct marked *segment)
{
	unsigned char mac[2 * ETH_ALEN];
	union {
		struct ip_tcp ipv4;
		struct ipv6_tcp ipv6;
	} out;
	__u32 at = segment->ip_offset;
	long failed;

	count(COUNT_PROBE_RST);
	if (bpf_skb_load_bytes(skb, ETH_ALEN, mac, ETH_ALEN) ||
	    bpf_skb_load_bytes(skb, 0, mac + ETH_ALEN, ETH_ALEN))
		return TC_ACT_SHOT;
	if (segment->is_ipv6) {
		write_rst6(&out.ipv6, &segment->rst);
		failed = bpf_skb_change_tail(skb, at + sizeof(out.ipv6), 0) ||
			 bpf_skb_store_bytes(skb, at, &out, sizeof(out.ipv6), 0);
	} else {
		write_rst4(&out.ipv4, &segment->rst);
		failed = bpf_skb_change_tail(skb, at + sizeof(out.ipv4), 0) ||
			 bpf_skb_store_bytes(skb, at, &out, sizeof(out.ipv4), 0);
	}
	if (failed || bpf_skb_store_bytes(skb, 0, mac, sizeof(mac), 0))
		return TC_ACT_SHOT;
	return bpf_redirect(skb->ifindex, 0);
}

SEC("tc")
int remora_probe(struct __sk_buff *skb)
{
	int silent, reset, lost = 1;
	struct marked segment = {};
	struct record *record;
	struct mark mark;
	__u64 now_ns;

	if (!read_mark(skb, &mark))
		return TC_ACT_UNSPEC;
	if (read_segment(skb, &segment))
		return TC_ACT_SHOT;

	now_ns = bpf_ktime_get_ns();
	silent = daemon_is_silent(now_ns);
	reset = mark.action == ACTION_RESET;
	record = make_record(skb, &mark, &segment, now_ns);
	if (record) {
		__u32 len = record->event.data_len;

		if (reset && silent)
			record->event.flags |= EVENT_RESET_SENT;
		FORGET(len);
		if (len <= MAX_SEGMENT)
			lost = bpf_ringbuf_output(&events, record,
						  sizeof(record->event) + len,
						  WAKE_READER) != 0;
	}
	count(lost ? COUNT_EVENT_LOST : COUNT_REPORTED);
	return reset && (silent || lost) ? send_rst(skb, &segment) : TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "GPL";
