/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Asks the client of a SYN whether it is there, with a SYN-ACK that acknowledges a secret
 * number. A client in SYN-SENT answers with a RST of this number and repeats its SYN (RFC
 * 9293 §3.10.7.3), on Linux within milliseconds. Only a host that gets the question can
 * answer it.
 *
 * A host that does not open a connection answers as well (§3.10.7.1). But it also answers
 * the SYN-ACK of the broker, with a RST right after the SYN, which take_rst() recognises.
 * So its connection is never established.
 */
#pragma once

#include "xdp/half_open.h"
#include "xdp/packet.h"
#include "xdp/reply.h"

/* The number that the question to a SYN acknowledges: a secret hash of the connection. It
 * is never the number after the SYN or its data, which the client would accept.
 */
static __always_inline __u32 number_asked(const struct packet *pkt, __u32 isn)
{
	const struct topic_keys *keys = the_keys();
	struct key_words words = words_of(&pkt->key);
	__u64 hash;
	__u32 number;

	if (!keys)
		return isn;
	hash = (words.low ^ keys->level[0]) * (keys->level[1] | 1);
	hash = ((hash ^ hash >> 32) + words.high + keys->level[2]) * (keys->level[3] | 1);
	hash = ((hash ^ hash >> 29) + ((__u64)isn << 32 | words.ends)) *
	       (keys->level[4] | 1);
	number = (hash ^ hash >> 31) >> 32;
	return number - isn < 1 << 16 ? number + (1 << 16) : number;
}

/* Answers a SYN with the question. The flow is half-open, so the repeated SYN goes on to
 * its real, whether the client has answered or not.
 */
static __noinline enum outcome ask_client(const struct packet *pkt)
{
	count(COUNT_ASKED);
	return turn_into_question(pkt->ctx, number_asked(pkt, pkt->tcp->seq)) ? DROP
									      : REPLY;
}

/* Whether a RST of a connection without a flow is the answer to a question. */
static __noinline int take_answer(const struct packet *pkt)
{
	struct flow *opened = find_last_syn(&pkt->key);

	if (!opened || pkt->tcp->seq != number_asked(pkt, opened->isn))
		return 0;
	opened->flags |= FLOW_ANSWERED;
	return 1;
}
