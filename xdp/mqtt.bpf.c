/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The mqtt stage: sends every TCP connection to a service to the group of its
 * topic, before the topic is visible.
 *
 * The flow decides, not the packet: a SYN goes to the group predicted for its
 * client, every later segment to the real on which its connection was opened.
 * PUBLISHes of tracked connections are judged against that group (inspect.h).
 */
#include "xdp/broker_icmp.h"
#include "xdp/chain.h"
#include "xdp/syn_data.h"
#include "xdp/icmp.h"
#include "xdp/inspect.h"
#include "xdp/katran.h"
#include "xdp/katran_maps.h"

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

/* The ports as they stand in the TCP header. */
static __always_inline __u32 tcp_ports(const struct segment *tcp)
{
	return tcp->client_port | (__u32)tcp->service_port << 16;
}

/* To the real of the connection; one whose real is known goes there even when its
 * group is no longer configured. Katran finds it itself, by the group's VIP.
 */
static __always_inline int forward(struct packet *pkt)
{
	__u32 number = pkt->group, real = pkt->real;
	const struct group *group;
	struct handoff *handoff;

	if (behind_katran) {
		if (!address_usual(pkt->ctx, number) &&
		    address_to_group(pkt->ctx, number))
			return XDP_DROP;
		bpf_tail_call(pkt->ctx, &root_array, SLOT_FORWARDER);
		return drop(COUNT_NO_FORWARDER);
	}
	group = bpf_map_lookup_elem(&groups, &number);
	handoff = own_handoff();
	if (!handoff || !group)
		return drop(COUNT_NO_REAL);
	if (!real && group->in_use)
		real = pick_real(group->vip_num, &pkt->key.client, tcp_ports(pkt->tcp));
	if (!real)
		return drop(COUNT_NO_REAL);

	handoff->real = real;
	handoff->vip_num = group->vip_num;
	bpf_tail_call(pkt->ctx, &root_array, SLOT_FORWARDER);
	handoff->real = 0;
	return drop(COUNT_NO_FORWARDER);
}

/* The group predicted for the client, NO_GROUP if none is. */
static __noinline __u32 predicted_group(const struct packet *pkt)
{
	struct client_key key = client_of(&pkt->key);
	const struct prediction *known = bpf_map_lookup_elem(&predictions, &key);

	return known && find_group(known->group) ? known->group : NO_GROUP;
}

static __always_inline struct flow *find_half_open(const struct packet *pkt, __u32 isn)
{
	struct half_open_key key = { pkt->key, isn };

	return bpf_map_lookup_elem(&half_open, &key);
}

static __noinline void keep_half_open(const struct packet *pkt)
{
	struct half_open_key key = { pkt->key, pkt->tcp->seq };
	struct flow fresh = {};
	struct flow *old = look_up_flow(&key.flow);

	if (old)
		old->flags |= FLOW_REOPENED;
	fresh.seen_at_ns = pkt->now_ns;
	fresh.isn = key.isn;
	fresh.end_seq = key.isn + 1;
	fresh.group = pkt->group;
	fresh.real = pkt->real;
	fresh.prior_group = NO_GROUP;
	fresh.state = FLOW_HALF_OPEN;
	stream_begin(&fresh.stream, key.isn + 1);
	bpf_map_update_elem(&half_open, &key, &fresh, BPF_ANY);
	bpf_map_update_elem(&openings, &pkt->key, &key.isn, BPF_ANY);
}

/* The connection of which a SYN is a copy: half-open, or, when the copy comes late,
 * already established.
 */
static __always_inline const struct flow *find_opened(const struct packet *pkt)
{
	const struct flow *opened = find_half_open(pkt, pkt->tcp->seq);

	if (opened)
		return opened;
	opened = look_up_flow(&pkt->key);
	return opened && opened->isn == pkt->tcp->seq ? opened : 0;
}

/* A retransmitted SYN keeps its group. A SYN with another initial sequence
 * number opens a flow of its own and touches nothing of an old one.
 */
static __noinline int open_flow(struct packet *pkt)
{
	const struct flow *known = find_opened(pkt);
	const struct group *target;

	count(COUNT_SYN);
	if (pkt->tcp->payload_len) {
		if (cut_payload(pkt->ctx))
			return drop(COUNT_TRUNCATED);
		count(COUNT_SYN_DATA);
	}
	if (known) {
		pkt->group = known->group;
		pkt->real = known->real;
		return FORWARD;
	}
	pkt->group = predicted_group(pkt);
	count(pkt->group == NO_GROUP ? COUNT_SYN_UNKNOWN : COUNT_SYN_PREDICTED);
	if (pkt->group == NO_GROUP)
		pkt->group = pkt->service->default_group;
	target = find_group(pkt->group);
	pkt->real =
		target ? pick_real(target->vip_num, &pkt->key.client, tcp_ports(pkt->tcp))
		       : 0;
	keep_half_open(pkt);
	return FORWARD;
}

/* A connection without a flow (table full, evicted, or moved here from another
 * LB): predicted, never judged.
 */
static __always_inline int follow_prediction(struct packet *pkt)
{
	count(COUNT_NO_FLOW);
	pkt->group = predicted_group(pkt);
	if (pkt->group == NO_GROUP)
		pkt->group = pkt->service->default_group;
	pkt->real = 0;
	return FORWARD;
}

/* The half-open flow of a segment that comes in front of its CONNECT, when that is
 * lost, late, or longer than a segment.
 */
static __noinline struct flow *find_opening(const struct packet *pkt)
{
	const __u32 *isn = bpf_map_lookup_elem(&openings, &pkt->key);

	if (!isn || pkt->tcp->seq - *isn > EAGER_REACH)
		return 0;
	return find_half_open(pkt, *isn);
}

/* The flow of a segment: the established one, unless the segment follows a newer
 * SYN of the same 5-tuple. Its ACK and the beginning of its CONNECT carry the
 * sequence number behind the SYN's.
 */
static __always_inline struct flow *find_flow(const struct packet *pkt)
{
	struct flow *flow = find_tracked(&pkt->key), *newer;

	if (flow && !(flow->flags & FLOW_REOPENED))
		return flow;
	newer = find_half_open(pkt, pkt->tcp->seq - 1);
	return newer ? newer : flow;
}

static __always_inline int starts_with_connect(const struct packet *pkt)
{
	__u8 first = 0;

	return bpf_xdp_load_bytes(pkt->ctx, pkt->tcp->payload_offset, &first, 1) == 0 &&
	       first == MQTT_CONNECT << 4;
}

/* The guard of the client, made if need be. */
static __always_inline struct guard *guard_of(const struct packet *pkt)
{
	struct guard *guard = bpf_map_lookup_elem(&guards, &pkt->key.client);

	if (!guard) {
		struct guard fresh = {};

		bpf_map_update_elem(&guards, &pkt->key.client, &fresh, BPF_NOEXIST);
		guard = bpf_map_lookup_elem(&guards, &pkt->key.client);
	}
	return guard;
}

/* The first payload of a half-open flow: from here on it is tracked, in the
 * table that nothing evicts. Returns its entry there, or 0 when there is none.
 */
static __noinline struct flow *establish(struct packet *pkt, const struct flow *opened)
{
	struct half_open_key half_key = { pkt->key, pkt->tcp->seq - 1 };
	struct flow *flow = look_up_flow(&pkt->key);
	struct guard *guard = guard_of(pkt);
	int begins = starts_with_connect(pkt);
	int replaces = flow && flow->state == FLOW_ESTABLISHED;

	if (!begins && flow)
		return 0;
	if (guard && !replaces &&
	    guard->connections >= pkt->set->connections_per_client) {
		count(COUNT_CLIENT_CONNECTIONS);
		return 0;
	}
	if (!flow)
		flow = add_flow(&pkt->key);
	if (!flow) {
		count(COUNT_FLOW_TABLE_FULL);
		return 0;
	}
	*flow = *opened;
	flow->state = FLOW_ESTABLISHED;
	flow->seen_at_ns = pkt->now_ns;
	if (!begins)
		flow->stream.blind = 1;
	bpf_map_delete_elem(&half_open, &half_key);
	if (guard && !replaces)
		__sync_fetch_and_add(&guard->connections, 1);
	count(COUNT_ESTABLISHED);
	return flow;
}

/* The client says that it never opened this connection: whoever did spoke in its
 * name, so what the flow taught is taken back.
 */
static __noinline void disown(const struct flow_key *flow_key, struct flow *flow)
{
	struct client_key key = client_of(flow_key);
	struct prediction *known;

	flow->stream.blind = 1;
	if (!(flow->flags & FLOW_TAUGHT))
		return;
	flow->flags &= ~FLOW_TAUGHT;
	known = bpf_map_lookup_elem(&predictions, &key);
	/* What another connection has taught since stays. */
	if (!known || known->topic_hash != flow->topic_hash)
		return;
	count(COUNT_UNLEARNED);
	known->topic_hash = 0;
	known->group = flow->prior_group;
}

/* A RST counts only at exactly the next sequence number, or right behind the
 * SYN, where a client answers a SYN-ACK that it did not ask for.
 */
static __noinline void take_rst(const struct packet *pkt, struct flow *flow)
{
	if (pkt->tcp->seq == flow->isn + 1 && flow->end_seq != flow->isn + 1)
		disown(&pkt->key, flow);
	else if (pkt->tcp->seq != flow->end_seq)
		return;
	if (flow->state == FLOW_HALF_OPEN)
		flow->stream.blind = 1; /* whoever goes on speaks in the client's name */
	else if (flow->state != FLOW_ESTABLISHED)
		return;
	count(COUNT_CLOSED);
	leave_established(&pkt->key, flow, FLOW_CLOSING);
}

/* Condemned: a RST of its own for every packet. */
static __noinline int refuse(struct packet *pkt, const struct flow *flow)
{
	if (flow->state == FLOW_DROPPED || pkt->tcp->flags & SEGMENT_RST ||
	    !(pkt->tcp->flags & SEGMENT_ACK))
		return drop(COUNT_CONDEMNED_DROP);
	count(COUNT_CONDEMNED_RST);
	return reply_with_rst(pkt->ctx);
}

/* No byte of the broker's can be under way any more: it would have been acknowledged
 * within that time (RFC 9293 §3.8.6.3 wants it within half of it).
 */
#define QUIET_NS NS_PER_S

/* Whether all that the client has sent is whole MQTT packets. */
static __always_inline int is_between_packets(const struct flow *flow)
{
	const struct stream *stream = &flow->stream;

	return !stream->blind && stream->phase == STREAM_HEADER && !stream->kept_len &&
	       stream->next == flow->end_seq;
}

/* An evacuated connection ends at a bare ACK, for which the daemon asks, when
 * everything in front of it has gone to the broker: nothing is lost, and both
 * sides can be told in words. Until then it goes on. Returns FORWARD or an XDP action.
 */
static __noinline int let_go(struct packet *pkt)
{
	struct flow *flow = pkt->flow;
	struct walking *at;
	__u32 flags = EVENT_EVACUATED;
	int verdict;

	pkt->scratch = own_scratch();
	if (!pkt->scratch || pkt->tcp->flags != SEGMENT_ACK || pkt->tcp->payload_len ||
	    pkt->tcp->seq != flow->end_seq)
		return FORWARD;
	if (!flow->stream.blind && !is_between_packets(flow))
		return FORWARD;
	at = &pkt->scratch->walking;
	at->seq = pkt->tcp->seq;
	at->action = ACTION_RESET;
	at->to_group = flow->group;
	at->apart = 1;
	at->in_early = flow->stream.blind;
	at->found.packet_offset = 0;
	if (flow->stream.flags & STREAM_MQTT5 &&
	    is_over(flow->seen_at_ns, pkt->now_ns, QUIET_NS))
		flags |= EVENT_TELL;
	count(COUNT_EVACUATED);
	flow->state = FLOW_CONDEMNED;
	verdict = pass_up(pkt, flags);
	return verdict >= 0 ? verdict : mend_without_probe(pkt);
}

/* A segment of a tracked connection. Returns FORWARD or an XDP action. */
static __always_inline int follow_flow(struct packet *pkt)
{
	struct flow *flow = pkt->flow;
	__u32 end =
		pkt->tcp->seq + pkt->tcp->payload_len + !!(pkt->tcp->flags & SEGMENT_FIN);
	int verdict;

	pkt->group = flow->group;
	pkt->real = flow->real;
	if (pkt->tcp->flags & SEGMENT_RST)
		take_rst(pkt, flow);
	if (flow->state >= FLOW_CONDEMNED) {
		if (flow->state != FLOW_LEAVING)
			return refuse(pkt, flow);
		verdict = let_go(pkt);
		if (verdict != FORWARD)
			return verdict;
	}

	/* Nothing within a client's reach: not for the flow's books. */
	if (pkt->tcp->seq - flow->end_seq + TCP_REACH > 2 * TCP_REACH)
		return FORWARD;

	if (flow->seen_at_ns != pkt->now_ns)
		flow->seen_at_ns = pkt->now_ns;
	if (pkt->tcp->payload_len && flow->state != FLOW_HALF_OPEN) {
		verdict = inspect(pkt);
		if (verdict != FORWARD)
			return verdict;
	}
	if (pkt->tcp->flags & SEGMENT_FIN && flow->state == FLOW_ESTABLISHED) {
		count(COUNT_CLOSED);
		leave_established(&pkt->key, flow, FLOW_CLOSING);
	}
	if ((__s32)(end - flow->end_seq) > 0 && flow->state != FLOW_HALF_OPEN)
		flow->end_seq = end;
	return FORWARD;
}

/* The longest packet that the link takes with the outer header of its real (RFC 2003,
 * RFC 2473).
 */
static __always_inline __u32 room_for_packet(const struct packet *pkt)
{
	const struct flow *flow = pkt->flow;
	__u32 number = flow ? flow->group : predicted_group(pkt), index = 0;
	const struct group *group;
	const struct real *real;

	if (number == NO_GROUP)
		number = pkt->service->default_group;
	if (flow)
		index = flow->real;
	group = find_group(number);
	if (!index && group)
		index = pick_real(group->vip_num, &pkt->key.client, tcp_ports(pkt->tcp));
	if (group && group->outer_len)
		return pkt->set->link_mtu - group->outer_len;
	real = bpf_map_lookup_elem(&reals, &index);
	return pkt->set->link_mtu - (real && real->flags & REAL_IPV6
					     ? sizeof(struct ipv6_header)
					     : sizeof(struct iphdr));
}

/* Tells a client whose packet is too long. Returns FORWARD when it is not. */
static __noinline int check_length(const struct packet *pkt)
{
	__u32 room = room_for_packet(pkt);

	if (pkt->tcp->ip_len <= room)
		return FORWARD;
	count(COUNT_TOO_BIG);
	return reply_too_big(pkt->ctx, room);
}

/* Decides about a packet to a service. Returns FORWARD, with group and real in
 * `pkt`, or an XDP action.
 */
static __always_inline int steer(struct packet *pkt)
{
	int verdict;

	if ((pkt->tcp->flags & (SEGMENT_SYN | SEGMENT_ACK)) == SEGMENT_SYN)
		return open_flow(pkt);

	pkt->flow = find_flow(pkt);
	if (!pkt->flow && pkt->tcp->payload_len)
		pkt->flow = find_opening(pkt);
	if (pkt->tcp->ip_len + sizeof(struct ipv6_header) > pkt->set->link_mtu) {
		verdict = check_length(pkt);
		if (verdict != FORWARD)
			return verdict;
	}
	if (pkt->flow && pkt->flow->state == FLOW_HALF_OPEN && pkt->tcp->payload_len) {
		if (pkt->tcp->seq == pkt->flow->isn + 1)
			pkt->flow = establish(pkt, pkt->flow);
		else
			keep_eager(pkt);
	}
	return pkt->flow ? follow_flow(pkt) : follow_prediction(pkt);
}

static __noinline void look_up(struct recent *recent, __u64 tick)
{
	const struct service *service = bpf_map_lookup_elem(&services, &recent->at);

	recent->tick = tick;
	recent->now_ns = bpf_ktime_get_coarse_ns();
	recent->found = service != 0;
	if (service)
		recent->service = *service;
}

/* Whether there is a service; and the packet's time. */
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

/* The counter of what is dropped because it cannot be steered. */
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

/* A packet to a service, which `recent` holds. */
static __always_inline int take_recent(struct packet *pkt, struct recent *recent)
{
	pkt->key.port = recent->tcp.client_port;
	pkt->key.service = recent->service.number;
	pkt->tcp = &recent->tcp;
	pkt->service = &recent->service;
	pkt->now_ns = recent->now_ns;
	return FORWARD;
}

/* Anything but a usual packet. Returns FORWARD, with the packet in `pkt`, when it is one
 * to a service, PASS_ON when it is for none, or an XDP action.
 */
static __noinline int take_unusual(struct packet *pkt)
{
	const struct frame *frame = own_frame();
	enum parse_result parsed = parse_frame(pkt->ctx);
	struct recent *recent;
	int verdict;

	if (!frame)
		return XDP_ABORTED;
	if (parsed == PARSE_OTHER) {
		verdict = translate_icmp(pkt->ctx);
		if (verdict >= 0)
			return verdict;
		if (!behind_katran)
			hand_to_broker(pkt->ctx);
		return PASS_ON;
	}
	recent = find_service(&frame->headers.service, frame->headers.tcp.service_port);
	if (!recent || !recent->found)
		return PASS_ON;
	if (parsed != PARSE_TCP)
		return drop(reason_of(parsed));
	pkt->key.client = frame->headers.client;
	recent->tcp = frame->headers.tcp;
	return take_recent(pkt, recent);
}

/* The same for any packet. */
static __always_inline int take(struct packet *pkt)
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

SEC("xdp")
int xdp_mqtt(struct xdp_md *ctx)
{
	struct packet pkt; /* not zeroed: filled on the way */
	int verdict;

	pkt.ctx = ctx;
	pkt.tcp = 0;
	verdict = take(&pkt);
	if (verdict == PASS_ON)
		return pass_on(ctx);
	/* Not FORWARD; Linux 6.1 would not know what that says of the packet. */
	if (!pkt.tcp)
		return verdict;
	pkt.set = the_settings();
	if (!pkt.set)
		return XDP_ABORTED;
	verdict = steer(&pkt);
	return verdict == FORWARD ? forward(&pkt) : verdict;
}

char LICENSE[] SEC("license") = "GPL";
