/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The TC probe: reports each mispredicted segment that the mqtt stage marked,
 * with its whole payload, and takes it out of the stack's way. All other traffic
 * of the interface (ssh too) passes untouched.
 *
 * Recovery never waits for the daemon: where the ring is full or the daemon's
 * heartbeat is stale, the RST is sent from here.
 */
#include "bpf/maps.h"
#include "bpf/reply.h"

#define TC_ACT_UNSPEC (-1) /* goes on to the next classifier */
#define TC_ACT_SHOT   2

#define NS_PER_S 1000000000ull

/* Keeps the compiler from folding a check of `x` into earlier ones. Checked is
 * the index of the last byte, because Linux 6.1 draws no lower bound from a
 * comparison of the length with 0.
 */
#define FORGET(x) asm volatile("" : "+r"(x))

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

/* Reads the mark that XDP left in front of the frame. */
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
					 __u32 len)
{
	const __u32 offset = ETH_HLEN + sizeof(struct ip_tcp);
	__u32 last = len - 1;

	FORGET(last);
	if (last >= sizeof(event->options))
		return;
	if (bpf_skb_load_bytes(skb, offset, event->options, last + 1) == 0)
		event->options_len = last + 1;
}

/* Fills the CPU's record from the mark and the segment. */
static __always_inline struct record *make_record(struct __sk_buff *skb,
						  const struct mark *mark,
						  const struct ip_tcp *head, __u64 now_ns)
{
	__u32 zero = 0, tcp_len = head->tcp.doff * 4,
	      ip_len = net_to_host16(head->ip.tot_len);
	__u32 header_len = sizeof(head->ip) + tcp_len;
	struct record *record = bpf_map_lookup_elem(&records, &zero);
	struct event *event;

	if (!record || tcp_len < sizeof(head->tcp) || header_len > ip_len)
		return 0;
	event = &record->event;
	__builtin_memset(event, 0, sizeof(*event));
	event->seen_at_ns = now_ns;
	event->flow.client = mapped_address(head->ip.saddr);
	event->flow.port = head->tcp.source;
	event->flow.service = mark->service;
	event->seq = mark->seq;
	event->ack = net_to_host32(head->tcp.ack_seq);
	event->real = mark->real;
	event->publish_offset = mark->publish_offset;
	event->from_group = mark->from_group;
	event->to_group = mark->to_group;
	event->topic_offset = mark->topic_offset;
	event->topic_len = mark->topic_len;
	event->action = mark->action;
	event->flags = mark->flags;
	copy_options(skb, event, tcp_len - sizeof(head->tcp));
	copy_payload(skb, record, ETH_HLEN + header_len, ip_len - header_len);
	return record;
}

/* Turns the segment into a RST and sends it back. */
static __always_inline int send_rst(struct __sk_buff *skb, const struct ip_tcp *head)
{
	struct rst rst = rst_for4(&head->ip, &head->tcp);
	unsigned char mac[2 * ETH_ALEN];
	struct ip_tcp out;

	count(COUNT_PROBE_RST);
	write_rst4(&out, &rst);
	if (bpf_skb_load_bytes(skb, ETH_ALEN, mac, ETH_ALEN) ||
	    bpf_skb_load_bytes(skb, 0, mac + ETH_ALEN, ETH_ALEN) ||
	    bpf_skb_change_tail(skb, ETH_HLEN + sizeof(out), 0) ||
	    bpf_skb_store_bytes(skb, 0, mac, sizeof(mac), 0) ||
	    bpf_skb_store_bytes(skb, ETH_HLEN, &out, sizeof(out), 0))
		return TC_ACT_SHOT;
	return bpf_redirect(skb->ifindex, 0);
}

SEC("tc")
int remora_probe(struct __sk_buff *skb)
{
	int silent, reset, lost = 1;
	struct record *record;
	struct ip_tcp head;
	struct mark mark;
	__u64 now_ns;

	if (!read_mark(skb, &mark))
		return TC_ACT_UNSPEC;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &head, sizeof(head)))
		return TC_ACT_SHOT;

	now_ns = bpf_ktime_get_ns();
	silent = daemon_is_silent(now_ns);
	reset = mark.action == ACTION_RESET;
	record = make_record(skb, &mark, &head, now_ns);
	if (record) {
		__u32 len = record->event.data_len;

		if (reset && silent)
			record->event.flags |= EVENT_RESET_SENT;
		FORGET(len);
		if (len <= MAX_SEGMENT)
			lost = bpf_ringbuf_output(&events, record,
						  sizeof(record->event) + len, 0) != 0;
	}
	count(lost ? COUNT_EVENT_LOST : COUNT_REPORTED);
	return reset && (silent || lost) ? send_rst(skb, &head) : TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "GPL";
