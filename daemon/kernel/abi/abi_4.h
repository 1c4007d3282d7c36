// SPDX-License-Identifier: Apache-2.0
//
// ABI 4 as it was: the structures that ABI 5 changed. Frozen; for converters only.
#pragma once

#include <linux/types.h>

namespace remora::abi4 {

inline constexpr __u32 kAbi = 4;

struct address {
  __be32 word[4];
};

struct flow_key {
  address client;
  __be16 port;
  __u16 service;
};
static_assert(sizeof(flow_key) == 20);

struct half_open_key {
  flow_key flow;
  __u32 isn;
};
static_assert(sizeof(half_open_key) == 24);

// Parts of `stream.flags`: flags, and how often the stream was blind (31: as often or more).
inline constexpr unsigned kStreamFlags = 0x07;
inline constexpr unsigned kStreamGapShift = 3;
inline constexpr unsigned kMostStreamGaps = 31;

struct stream {
  __u32 next;
  __u8 phase;
  __u8 kept_len;
  __u8 blind;
  __u8 flags;
  __u64 kept;
  __u32 packet_end;
  __u32 field_end;
  __u32 topic;
  __u16 topic_len;
  __u16 alias;
};
static_assert(sizeof(stream) == 32);

// The value of `predictions`.
struct prediction {
  __u64 topic_hash;
  __u64 seen_at_ns;
  __u16 group;
  __u16 pad[3];
};
static_assert(sizeof(prediction) == 24);

struct settings {
  __u32 generation;
  __u32 resets_per_second;
  __u32 resets_per_client;
  __u32 connections_per_client;
  __u32 link_mtu;
  __u32 abi;
  address outer_source4;
  address outer_source6;
};
static_assert(sizeof(settings) == 56);

// The value of `half_open`.
struct flow {
  __u64 seen_at_ns;
  __u32 end_seq;
  __u32 real;
  __u16 group;
  __u8 state;
  __u8 flags;
  __u32 generation;
  __u64 topic_hash;
  abi4::stream stream;
  __u32 isn;
  __u16 prior_group;
  __u16 early;
  __u32 first_early;
  __u32 last_early;
  __u32 gap_began;
  __u32 pad;
};
static_assert(sizeof(flow) == 88);

// The value of `flows`.
struct flow_place {
  flow_key key;
  __u32 pad;
  abi4::flow flow;
  __u64 spare[2];
};
static_assert(sizeof(flow_place) == 128);

// The head of a record in `events`.
struct event {
  __u64 seen_at_ns;
  flow_key flow;
  __u32 seq;
  __u32 ack;
  __u32 real;
  __u16 publish_offset;
  __u16 from_group;
  __u16 to_group;
  __u16 topic_offset;
  __u16 topic_len;
  __u16 data_len;
  __u8 action;
  __u8 flags;
  __u8 options_len;
  __u8 options[40];
  __u8 pad[1];
};
static_assert(sizeof(event) == 96);

}  // namespace remora::abi4
