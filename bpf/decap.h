/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The contract between the decap program on a broker host and remora-decap, which loads
 * it: keys and sizes of its maps, and its counters.
 */
#pragma once

#include "bpf/abi.h"

/* Map `vips`. Key: a group's VIP and the service's port, 0: any, as `struct service_key`.
 * Value: the service's address, of the VIP's family.
 */
#define MAX_DECAP_VIPS 1024

/* Map `decap_services`. Key: a service of this broker, as `struct service_key`. Value: 1.
 */
#define MAX_DECAP_SERVICES 1024

/* Map `decap_sources`, used only if `sources_are_fenced`: networks of outer sources.
 * Value: 1.
 */
#define MAX_DECAP_NETWORKS 256

struct decap_network {
	__u32 bits; /* of the prefix; an IPv4 network has 96 more, as its address is
		       mapped */
	struct address first;
};
static_assert(sizeof(struct decap_network) == 20, "ABI");

/* Map `decap_counts`, by number, per CPU: packets that were dropped. */
enum decap_count {
	DECAP_NO_SERVICE = 0, /* the inner packet is not for a service of this broker */
	DECAP_FOREIGN_SOURCE = 1, /* the outer source is in none of the networks */
	DECAP_CONGESTION =
		2, /* congestion that the inner packet cannot carry (RFC 6040) */
	DECAP_COUNTS
};
