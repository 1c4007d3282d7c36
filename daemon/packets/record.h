// SPDX-License-Identifier: Apache-2.0
//
// A record of the ring, with its lengths checked.
//
// Pure. Addresses and ports are in network byte order, sequence numbers in host
// order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "bpf/abi.h"

namespace remora {

struct Record {
  event head;
  std::span<const std::uint8_t> data;  // `head.data_len` bytes

  // The topic of a judged PUBLISH. No value if another record has it, or if the segment was cut
  // before the topic's end.
  std::optional<std::string_view> topic() const;

  // The piece of a topic that the kernel did not judge (ACTION_PIECE).
  std::string_view piece() const;
};

// Reads a record in the ring, which must outlive it. No value if its numbers contradict each other
// or `size`.
std::optional<Record> read_record(const void* bytes, std::size_t size);

}  // namespace remora
