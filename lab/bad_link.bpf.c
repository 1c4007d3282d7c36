// SPDX-License-Identifier: GPL-2.0-only
/*
 * A bad link: loses some of the TCP segments that leave an interface, and lets
 * others be overtaken by later ones. Loaded at TC egress of the gateway's end of
 * the load balancer's link, where no netem is needed. Everything but TCP passes.
 *
 * A TC program cannot delay a packet, but it can keep its bytes: a segment that is to be
 * late is copied and dropped. Up to MOST_LATE segments later another segment leaves as a
 * clone and is then overwritten with the late one. If no later segment comes, the late
 * one is lost.
 *
 * The seed and a segment's number alone decide what happens to it.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MOST_LATE 8
/* Power of two, above MOST_LATE, so that no two late segments share a slot. */
#define SLOTS	  16
#define FRAME_MAX 1600
/* Marks packets that the program has seen: its own clone passes it again. */
#define DONE 0x62616421

/* lab/bad_link.py knows this layout. */
struct link {
	__u64 seed;
	__u32 lose; /* share of the segments, in units of 2^-32 */
	__u32 delay;
	__u64 segments;
	__u64 lost;
	__u64 late;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct link);
} links SEC(".maps");

enum { EMPTY, FILLING, FULL, EMPTYING };

struct late_segment {
	__u32 state;
	__u32 protocol;
	__u32 len;
	__u8 frame[FRAME_MAX];
};

/* The segment with number N visits slot N modulo SLOTS. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, struct late_segment);
} late_segments SEC(".maps");

/* Keeps the compiler from checking another value instead of `x`. Linux 6.1 draws no
 * lower bound from a comparison with 0, so the length less 1 is checked.
 */
#define FORGET(x) asm volatile("" : "+r"(x))

/* SplitMix64's output function. */
static __always_inline __u64 mix(__u64 x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static __always_inline int is_tcp(struct __sk_buff *skb)
{
	__u8 protocol = 0;

	if (skb->protocol == bpf_htons(ETH_P_IP))
		bpf_skb_load_bytes(skb, ETH_HLEN + offsetof(struct iphdr, protocol),
				   &protocol, 1);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		bpf_skb_load_bytes(skb, ETH_HLEN + offsetof(struct ipv6hdr, nexthdr),
				   &protocol, 1);
	return protocol == IPPROTO_TCP;
}

static __always_inline struct late_segment *slot_of(__u64 number)
{
	__u32 index = number % SLOTS;

	return bpf_map_lookup_elem(&late_segments, &index);
}

/* Keeps a copy that leaves together with segment number `due`. */
static __always_inline int keep(struct __sk_buff *skb, __u64 due)
{
	struct late_segment *late = slot_of(due);
	__u32 last = skb->len - 1;

	FORGET(last);
	if (!late || last >= FRAME_MAX)
		return 0;
	if (__sync_val_compare_and_swap(&late->state, EMPTY, FILLING) != EMPTY)
		return 0;
	late->protocol = skb->protocol;
	late->len = last + 1;
	if (bpf_skb_load_bytes(skb, 0, late->frame, last + 1)) {
		late->state = EMPTY;
		return 0;
	}
	late->state = FULL;
	return 1;
}

/* Overwrites the packet with the late one; returns whether this succeeded. */
static __always_inline int become(struct __sk_buff *skb, struct late_segment *late)
{
	__u32 last = late->len - 1;

	FORGET(last);
	if (last >= FRAME_MAX || bpf_skb_change_tail(skb, last + 1, 0))
		return 0;
	return !bpf_skb_store_bytes(skb, 0, late->frame, last + 1, BPF_F_INVALIDATE_HASH);
}

SEC("tc")
int pass_some(struct __sk_buff *skb)
{
	struct late_segment *late;
	int passes = 1;
	struct link *link;
	__u64 number, random;
	__u32 zero = 0;

	if (skb->mark == DONE || !is_tcp(skb))
		return TC_ACT_OK;
	link = bpf_map_lookup_elem(&links, &zero);
	if (!link)
		return TC_ACT_OK;

	number = __sync_fetch_and_add(&link->segments, 1);
	random = mix(link->seed + number * 0x9e3779b97f4a7c15);
	if ((__u32)random < link->lose) {
		__sync_fetch_and_add(&link->lost, 1);
		passes = 0;
	} else if (random >> 32 < link->delay &&
		   keep(skb, number + 1 + random % MOST_LATE)) {
		__sync_fetch_and_add(&link->late, 1);
		passes = 0;
	}

	late = slot_of(number);
	if (!late || late->protocol != skb->protocol ||
	    __sync_val_compare_and_swap(&late->state, FULL, EMPTYING) != FULL)
		return passes ? TC_ACT_OK : TC_ACT_SHOT;

	skb->mark = DONE;
	if (passes)
		bpf_clone_redirect(skb, skb->ifindex, 0);
	passes = become(skb, late);
	late->state = EMPTY;
	return passes ? TC_ACT_OK : TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "GPL";
