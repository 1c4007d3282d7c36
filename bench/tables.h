/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The frame of a run of tables.bpf.c. */
#pragma once

#include <linux/types.h>

struct table_run {
  __u64 next;    /* number of the next client */
  __u32 clients; /* number of different ones: a power of two, or 0 for no end of them */
  __u32 above;   /* the third word of their addresses */
};

/* The client of that number, in an order that no prefetcher can predict. */
static inline __u32 client_number(__u64 number, __u32 clients) {
  __u32 mask = clients - 1, n = (__u32)number & mask;

  n = n * 0x9e3779b1u & mask;
  n ^= n >> 9;
  return n * 0x85ebca6bu & mask;
}
