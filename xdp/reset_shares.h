/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The limit of all resets, shared between the networks of clients: packets forged with
 * the addresses of one network use up that network's share, and the first mispredict of
 * everybody else is still reset.
 *
 * A network is counted in three sizes. It may take a reset as long as it has taken less
 * in this second than a multiple of the rest. So one network gets a part of
 * resets_per_second, and many that want more share it.
 */
#pragma once

#include "xdp/packet.h"

/* A size of networks: the bits of their addresses, and their weight. A network takes less
 * than `weight` times the rest, so weight / (weight + 1) of resets_per_second if it is
 * alone. A wider one gets more, because it must leave something to those in it.
 */
struct network_size {
	__u32 ipv4_bits, ipv6_bits, weight;
};
#define NARROW ((struct network_size){ 24, 64, 1 })
#define MIDDLE ((struct network_size){ 16, 48, 3 })
#define WIDE   ((struct network_size){ 8, 32, 7 })

enum token {
	TOKEN_TAKEN,
	TOKEN_NONE,  /* all tokens of this second are taken */
	TOKEN_SHARE, /* all tokens of the client's network are taken */
};

static __always_inline struct network network_of(const struct address *client,
						 struct network_size size)
{
	struct network network = {};
	__u32 bits;

	if (is_ipv4(client)) {
		bits = size.ipv4_bits;
		network.prefix = (__u64)net_to_host32(client->word[3]) << 32;
	} else {
		bits = size.ipv6_bits;
		network.prefix = (__u64)net_to_host32(client->word[0]) << 32 |
				 net_to_host32(client->word[1]);
	}
	network.prefix &= ~0ull << (64 - bits);
	network.bits = bits;
	return network;
}

static __always_inline struct reset_share *share_of(const struct address *client,
						    struct network_size size)
{
	struct network network = network_of(client, size);
	struct reset_share *share = bpf_map_lookup_elem(&reset_shares, &network);

	if (!share) {
		struct reset_share fresh = {};

		bpf_map_update_elem(&reset_shares, &network, &fresh, BPF_NOEXIST);
		share = bpf_map_lookup_elem(&reset_shares, &network);
	}
	return share;
}

/* Whether the share has room in this second. The budget's lock must be held. */
static __always_inline int has_room(struct reset_share *share, struct network_size size,
				    const struct locked_budget *budget)
{
	if (share->filled_at_ns != budget->filled_at_ns) {
		share->filled_at_ns = budget->filled_at_ns;
		share->taken = 0;
	}
	return share->taken < (__u64)size.weight * budget->tokens;
}

/* Takes a token for the client, of `per_second`. Returns enum token. */
__noinline __u32 take_token(const struct address *client, __u32 per_second, __u64 now_ns)
{
	struct reset_share *narrow, *middle, *wide;
	struct locked_budget *budget;
	__u32 zero = 0, token = TOKEN_NONE;

	if (!client)
		return TOKEN_NONE;
	budget = bpf_map_lookup_elem(&reset_budget, &zero);
	narrow = share_of(client, NARROW);
	middle = share_of(client, MIDDLE);
	wide = share_of(client, WIDE);
	if (!budget || !narrow || !middle || !wide)
		return TOKEN_NONE;
	bpf_spin_lock(&budget->lock);
	if (is_over(budget->filled_at_ns, now_ns, NS_PER_S)) {
		budget->filled_at_ns = now_ns;
		budget->tokens = per_second;
	}
	if (budget->tokens > 0) {
		token = TOKEN_SHARE;
		if (has_room(narrow, NARROW, budget) &&
		    has_room(middle, MIDDLE, budget) && has_room(wide, WIDE, budget)) {
			budget->tokens--;
			narrow->taken++;
			middle->taken++;
			wide->taken++;
			token = TOKEN_TAKEN;
		}
	}
	bpf_spin_unlock(&budget->lock);
	return token;
}
