// SPDX-License-Identifier: Apache-2.0
//
// The beginning of each payload: which message it is, and when it was due.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>

#include "daemon/mqtt/packet.h"

namespace remora::load {

using mqtt::Bytes;
using mqtt::ByteView;

struct Stamp {
  std::uint32_t mark = 0x64616f6c;  // "load"
  std::uint32_t client;
  std::uint32_t number;  // from 0 on, of each client
  std::uint32_t pad = 0;
  std::uint64_t due_ns;  // CLOCK_MONOTONIC: as planned, whenever it was sent
};
static_assert(sizeof(Stamp) == 24);

inline std::optional<Stamp> read_stamp(ByteView payload) {
  Stamp stamp{.client = 0, .number = 0, .due_ns = 0};
  const std::uint32_t mark = stamp.mark;
  if (payload.size() < sizeof(stamp)) return std::nullopt;
  std::memcpy(&stamp, payload.data(), sizeof(stamp));
  return stamp.mark == mark ? std::optional(stamp) : std::nullopt;
}

}  // namespace remora::load
