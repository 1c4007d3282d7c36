// SPDX-License-Identifier: Apache-2.0
//
// A record of the ring: what the kernel reports, with its lengths checked.
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

  // The topic of a judged PUBLISH; nothing where a record of its own has it, and
  // where the segment was cut in front of its end.
  std::optional<std::string_view> topic() const;

  // What is there of a topic that the kernel did not judge (ACTION_UNJUDGED).
  std::string_view piece() const;
};

// Reads what stands in the ring, which must outlive the record. Nothing when its
// numbers contradict each other or `size`.
std::optional<Record> read_record(const void* bytes, std::size_t size);

}  // namespace remora
