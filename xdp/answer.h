/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the stage sends back to a client itself: a RST, or an ICMP error. All turn
 * the received frame around, its VLAN tags stay.
 *
 * These are global functions: verified once, whatever is known where they are called.
 * They read the frame anew, so that the usual packet keeps no pointers for them.
 */
#pragma once

#include "bpf/maps.h"
#include "bpf/reply.h"

/* Ethernet's header with all the tags that it may have. */
struct link {
	__u8 destination[ETH_ALEN], source[ETH_ALEN];
	__u8 rest[2 + VLAN_TAGS * VLAN_TAG_LEN];
};

/* An ICMP error to a client, as the service, about a packet that lies in the frame. */
struct icmp_answer {
	struct address client, service;
	struct icmp_error error;
	__u32 ip_offset;    /* of the frame's IP header, and of the answer's */
	__u32 quote_offset; /* in the frame */
	__u32 quote_len;    /* bytes */
	__u8 destination[ETH_ALEN];
	__u8 is_ipv6;
	__u8 pad;
};

#define SUM_CHUNK  128 /* bytes */
#define SUM_CHUNKS 10

/* What the answers are made in: the stack is short for it. */
struct answering {
	struct packet pkt;
	struct icmp_answer icmp;
	struct link link;
	struct rst rst;
	union {
		struct ip_tcp rst4;
		struct ipv6_tcp rst6;
		struct ip_icmp icmp4;
		struct ipv6_icmp icmp6;
		__u32 chunk[SUM_CHUNK / 4];
	} out;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct answering);
} answerings SEC(".maps");

static __always_inline struct answering *own_answering(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&answerings, &zero);
}

/* Reads any frame into own_answering(). Returns enum parse_result. */
__noinline int parse_frame(struct xdp_md *ctx)
{
	struct answering *w = own_answering();

	return w ? parse_tcp((void *)(long)ctx->data, (void *)(long)ctx->data_end,
			     &w->pkt)
		 : PARSE_OTHER;
}

/* Makes the frame `len` bytes long. Returns 0 on success. */
static __always_inline long resize(struct xdp_md *ctx, __u32 len)
{
	return bpf_xdp_adjust_tail(ctx, (int)len - (int)bpf_xdp_get_buff_len(ctx));
}

static __always_inline void swap_ends(struct link *link)
{
	__u8 mac[ETH_ALEN];

	__builtin_memcpy(mac, link->source, ETH_ALEN);
	__builtin_memcpy(link->source, link->destination, ETH_ALEN);
	__builtin_memcpy(link->destination, mac, ETH_ALEN);
}

/* Answers a packet of a condemned connection with a RST. */
__noinline int answer_with_rst(struct xdp_md *ctx)
{
	struct answering *w = own_answering();
	__u32 ip_offset;
	long failed;

	if (!w || parse_frame(ctx) != PARSE_TCP ||
	    bpf_xdp_load_bytes(ctx, 0, &w->link, 2 * ETH_ALEN))
		return XDP_DROP;
	ip_offset = w->pkt.ip_offset;
	w->rst = rst_for(&w->pkt);
	if (w->pkt.is_ipv6) {
		write_rst6(&w->out.rst6, &w->rst);
		failed = resize(ctx, ip_offset + sizeof(w->out.rst6)) ||
			 bpf_xdp_store_bytes(ctx, ip_offset, &w->out.rst6,
					     sizeof(w->out.rst6));
	} else {
		write_rst4(&w->out.rst4, &w->rst);
		failed = resize(ctx, ip_offset + sizeof(w->out.rst4)) ||
			 bpf_xdp_store_bytes(ctx, ip_offset, &w->out.rst4,
					     sizeof(w->out.rst4));
	}
	swap_ends(&w->link);
	if (failed || bpf_xdp_store_bytes(ctx, 0, &w->link, 2 * ETH_ALEN))
		return XDP_DROP;
	return XDP_TX;
}

/* The sum of so many bytes of the frame (RFC 1071), folded; -1 when they are not there
 * or too many.
 */
__noinline int sum_of_frame(struct xdp_md *ctx, __u32 offset, __u32 len)
{
	struct answering *w = own_answering();
	__s64 sum = 0;

	if (!w)
		return -1;
	for (int i = 0; i < SUM_CHUNKS && len > 0; i++) {
		__u32 last = (len < SUM_CHUNK ? len : SUM_CHUNK) - 1;

		__builtin_memset(w->out.chunk, 0, SUM_CHUNK);
		FORGET(last);
		if (last >= SUM_CHUNK ||
		    bpf_xdp_load_bytes(ctx, offset, w->out.chunk, last + 1))
			return -1;
		sum = bpf_csum_diff(0, 0, w->out.chunk, SUM_CHUNK, sum);
		offset += last + 1;
		len -= last + 1;
	}
	return len ? -1 : (__u16)~fold_checksum(sum);
}

/* Makes the frame the ICMP error in own_answering(). */
__noinline int send_icmp(struct xdp_md *ctx)
{
	struct answering *w = own_answering();
	struct icmp_answer *icmp;
	__u32 head_len;
	__be16 type;
	long failed;
	int sum;

	if (!w)
		return XDP_DROP;
	icmp = &w->icmp;
	type = icmp->is_ipv6 ? host_to_net16(ETH_P_IPV6) : host_to_net16(ETH_P_IP);
	head_len = icmp->is_ipv6 ? sizeof(w->out.icmp6) : sizeof(w->out.icmp4);
	sum = sum_of_frame(ctx, icmp->quote_offset, icmp->quote_len);
	/* What of `link` is IP already is written over below. */
	if (sum < 0 || bpf_xdp_load_bytes(ctx, 0, &w->link, sizeof(w->link)) ||
	    resize(ctx, icmp->quote_offset + icmp->quote_len) ||
	    bpf_xdp_adjust_head(ctx, (int)icmp->quote_offset -
					     (int)(icmp->ip_offset + head_len)))
		return XDP_DROP;
	__builtin_memcpy(w->link.source, w->link.destination, ETH_ALEN);
	__builtin_memcpy(w->link.destination, icmp->destination, ETH_ALEN);
	failed = bpf_xdp_store_bytes(ctx, 0, &w->link, sizeof(w->link)) |
		 bpf_xdp_store_bytes(ctx, icmp->ip_offset - sizeof(type), &type,
				     sizeof(type));
	if (icmp->is_ipv6) {
		write_icmp6(&w->out.icmp6, &icmp->service, &icmp->client, icmp->error,
			    icmp->quote_len, sum);
		failed |= bpf_xdp_store_bytes(ctx, icmp->ip_offset, &w->out.icmp6,
					      sizeof(w->out.icmp6));
	} else {
		write_icmp4(&w->out.icmp4, icmp->service.word[3], icmp->client.word[3],
			    icmp->error, icmp->quote_len, sum);
		failed |= bpf_xdp_store_bytes(ctx, icmp->ip_offset, &w->out.icmp4,
					      sizeof(w->out.icmp4));
	}
	return failed ? XDP_DROP : XDP_TX;
}

/* No answer goes to a source that is not one host's (RFC 1122 §3.2.2, RFC 4443 §2.4). */
static __always_inline int is_one_host(const struct address *client)
{
	__u8 first = client->word[0] & 0xff, first4 = client->word[3] & 0xff;

	if (is_ipv4(client))
		return first4 != 0 && first4 != 127 && first4 < 224;
	return first != 0xff && (client->word[0] | client->word[1] | client->word[2]);
}

/* Tells the client, as the service, which MTU leaves room for the outer header: ICMP
 * "fragmentation needed" (RFC 792, RFC 1191 §4) or ICMPv6 "packet too big" (RFC 4443
 * §3.2). The quoted packet is the one that the client sent.
 */
__noinline int answer_too_big(struct xdp_md *ctx, __u32 mtu)
{
	struct answering *w = own_answering();
	struct icmp_answer *icmp;
	struct packet *pkt;

	if (!w)
		return XDP_DROP;
	pkt = &w->pkt;
	icmp = &w->icmp;
	if (parse_frame(ctx) != PARSE_TCP || pkt->tcp.flags & SEGMENT_RST ||
	    !is_one_host(&pkt->client) ||
	    bpf_xdp_load_bytes(ctx, 0, &w->link, 2 * ETH_ALEN) ||
	    w->link.destination[0] & 1) /* a broadcast */
		return XDP_DROP;
	icmp->client = pkt->client;
	icmp->service = pkt->service;
	icmp->ip_offset = pkt->ip_offset;
	icmp->quote_offset = pkt->ip_offset;
	icmp->is_ipv6 = pkt->is_ipv6;
	icmp->error.mtu = host_to_net32(mtu);
	if (pkt->is_ipv6) {
		icmp->error.type = ICMP6_TOO_BIG;
		icmp->error.code = 0;
		icmp->quote_len = pkt->tcp.ip_len < QUOTED6 ? pkt->tcp.ip_len : QUOTED6;
	} else {
		icmp->error.type = ICMP4_UNREACHABLE;
		icmp->error.code = ICMP4_FRAG_NEEDED;
		icmp->quote_len = QUOTED4;
	}
	__builtin_memcpy(icmp->destination, w->link.source, ETH_ALEN);
	return send_icmp(ctx);
}
