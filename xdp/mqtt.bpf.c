/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The mqtt stage: sends every TCP connection to a service to the group of its topic,
 * before the topic is visible.
 *
 * The flow decides, not the packet. A SYN goes to the group predicted for its client.
 * Every later segment goes to the real on which its connection was opened. The PUBLISHes
 * of tracked connections are judged against that group (inspect.h).
 */
#include "xdp/broker_icmp.h"
#include "xdp/chain.h"
#include "xdp/follow.h"
#include "xdp/icmp.h"
#include "xdp/katran.h"
#include "xdp/too_big.h"

static __noinline void look_up(struct recent *recent, __u64 tick)
{
	const struct service *service = bpf_map_lookup_elem(&services, &recent->at);

	recent->tick = tick;
	recent->now_ns = bpf_ktime_get_coarse_ns();
	recent->found = service != 0;
	if (service)
		recent->service = *service;
}

/* Whether there is a service, and the time of the packet. */
static __always_inline struct recent *find_service(const struct address *address,
						   __be16 port)
{
	__u32 slot = (net_to_host32(address->word[3]) ^ net_to_host16(port)) % RECENTS;
	struct recent *recent = bpf_map_lookup_elem(&recents, &slot);
	__u64 tick = bpf_jiffies64();

	if (recent && (recent->tick != tick || recent->at.port != port ||
		       !same_address(&recent->at.address, address))) {
		recent->at.address = *address;
		recent->at.port = port;
		look_up(recent, tick);
	}
	return recent;
}

/* The counter for a packet that cannot be steered. */
static __always_inline __u32 reason_of(enum parse_result parsed)
{
	switch (parsed) {
	case PARSE_OPTIONS:
		return COUNT_IP_OPTIONS;
	case PARSE_FRAGMENT:
		return COUNT_FRAGMENT;
	case PARSE_EXTENSION:
		return COUNT_IPV6_EXTENSION;
	default:
		return COUNT_TRUNCATED;
	}
}

/* Takes a packet to a service, which `recent` contains. */
static __always_inline enum outcome take_recent(struct packet *pkt, struct recent *recent)
{
	pkt->key.port = recent->tcp.client_port;
	pkt->key.service = recent->service.number;
	pkt->tcp = &recent->tcp;
	pkt->service = &recent->service;
	pkt->now_ns = recent->now_ns;
	return STEER;
}

/* Takes a packet that is not TCP. An ICMP error may be about a connection of ours. */
static __always_inline enum outcome take_other(struct xdp_md *ctx)
{
	int told = translate_icmp(ctx);

	if (told)
		return told > 0 ? REPLY : DROP;
	if (!behind_katran)
		hand_to_broker(ctx);
	return PASS_ON;
}

/* Takes any packet except a usual one. */
static __noinline enum outcome take_unusual(struct packet *pkt)
{
	const struct frame *frame = own_frame();
	enum parse_result parsed = parse_frame(pkt->ctx);
	struct recent *recent;

	if (!frame)
		return ABORT;
	if (parsed == PARSE_OTHER)
		return take_other(pkt->ctx);
	recent = find_service(&frame->headers.service, frame->headers.tcp.service_port);
	if (!recent || !recent->found)
		return PASS_ON;
	if (parsed != PARSE_TCP)
		return drop(reason_of(parsed));
	pkt->key.client = frame->headers.client;
	recent->tcp = frame->headers.tcp;
	return take_recent(pkt, recent);
}

/* Reads any packet. Returns STEER, with the packet in `pkt`, if it is for a service. */
static __always_inline enum outcome take(struct packet *pkt)
{
	void *data = (void *)(long)pkt->ctx->data;
	struct address service;
	struct recent *recent;

	if (!is_plain(data, (void *)(long)pkt->ctx->data_end))
		return take_unusual(pkt);
	service = mapped_address(plain_ip(data)->daddr);
	recent = find_service(&service, plain_tcp(data)->dest);
	if (!recent || !recent->found)
		return PASS_ON;
	pkt->key.client = mapped_address(plain_ip(data)->saddr);
	read_plain(data, &recent->tcp);
	return take_recent(pkt, recent);
}

/* Decides about a packet to a service. With FORWARD, group and real are in `pkt`. */
static __always_inline enum outcome steer(struct packet *pkt)
{
	enum outcome outcome;

	if ((pkt->tcp->flags & (SEGMENT_SYN | SEGMENT_ACK)) == SEGMENT_SYN)
		return open_flow(pkt);

	pkt->flow = find_flow(pkt);
	if (!pkt->flow && is_routed(pkt)) {
		count(COUNT_ROUTED);
		return PASS_UP;
	}
	if (pkt->tcp->ip_len + sizeof(struct ipv6_header) > pkt->set->link_mtu) {
		outcome = check_length(pkt);
		if (outcome != FORWARD)
			return outcome;
	}
	if (pkt->flow && is_half_open(pkt->flow) && pkt->tcp->payload_len) {
		if (pkt->tcp->seq == pkt->flow->isn + 1) {
			pkt->flow = establish(pkt, pkt->flow);
		} else {
			outcome = keep_eager(pkt);
			if (outcome != FORWARD)
				return outcome;
		}
	}
	return pkt->flow ? follow_flow(pkt) : follow_prediction(pkt);
}

/* Sends the packet to the real of the connection, also if its group is no longer
 * configured. Katran finds the real itself, by the VIP of the group. Returns only if the
 * packet was not sent: DROP.
 */
static __always_inline enum outcome forward(struct packet *pkt)
{
	__u32 number = pkt->group, real = pkt->real, reason;
	const struct group *group;
	struct handoff *handoff;

	if (behind_katran) {
		if (!address_usual(pkt->ctx, number)) {
			reason = address_to_group(pkt->ctx, number);
			if (reason)
				return drop(reason);
		}
		bpf_tail_call(pkt->ctx, &root_array, SLOT_FORWARDER);
		return drop(COUNT_NO_FORWARDER);
	}
	group = bpf_map_lookup_elem(&groups, &number);
	handoff = own_handoff();
	if (!handoff || !group)
		return drop(COUNT_NO_REAL);
	if (!real && group->in_use)
		real = pick_real(group, &pkt->key.client, tcp_ports(pkt->tcp));
	if (!real)
		return drop(COUNT_NO_REAL);

	handoff->real = real;
	handoff->vip_num = group->vip_num;
	handoff->affinity = group->affinity;
	bpf_tail_call(pkt->ctx, &root_array, SLOT_FORWARDER);
	handoff->real = 0;
	return drop(COUNT_NO_FORWARDER);
}

/* Calls the next program. Returns an XDP action if there is none. */
static __always_inline int pass_on(struct xdp_md *ctx)
{
	struct handoff *handoff;

	count(COUNT_OTHER_TRAFFIC);
	bpf_tail_call(ctx, &root_array, SLOT_FORWARDER);
	handoff = own_handoff();
	if (handoff)
		handoff->real = 0;
	return XDP_PASS;
}

/* Carries out the decision. Returns an XDP action. */
static __always_inline int finish(struct packet *pkt, enum outcome outcome)
{
	if (outcome == FORWARD)
		outcome = forward(pkt);
	switch (outcome) {
	case PASS_ON:
		return pass_on(pkt->ctx);
	case PASS_UP:
		return XDP_PASS;
	case REPLY:
		return XDP_TX;
	case DROP:
		return XDP_DROP;
	default:
		return XDP_ABORTED;
	}
}

SEC("xdp")
int xdp_mqtt(struct xdp_md *ctx)
{
	struct packet pkt; /* not zeroed: each part is filled when it is known */
	enum outcome outcome;

	pkt.ctx = ctx;
	pkt.set = the_settings();
	outcome = pkt.set ? take(&pkt) : ABORT;
	if (outcome == STEER)
		outcome = steer(&pkt);
	return finish(&pkt, outcome);
}

char LICENSE[] SEC("license") = "GPL";
