/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The key of the floor's flow table: 16 bytes. */
#pragma once

#include <linux/types.h>

struct floor_key {
	__be32 client, service;
	__be16 client_port, service_port;
	__u32 pad;
};
