// SPDX-License-Identifier: Apache-2.0
//
// Conversion of the pinned maps of one ABI to those of the next (bpf/abi.h, REMORA_ABI).
//
// Each ABI has a file from_N.cpp for the way to N + 1 and, once it is history, a header
// abi_N.h with its changed structures, which never changes again. A new ABI therefore freezes
// the structures that its predecessor's converter calls today's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/fd.h"

namespace remora {

// The bytes of a key or of a value.
using EntryBytes = std::vector<std::byte>;
using EntryView = std::span<const std::byte>;

// A map whose entries an ABI step changes. A record of the ring is an entry without a key.
struct MapConversion {
  std::string_view map;
  std::uint32_t key_size, value_size;  // before, bytes; 0 and 0: the ring
  // Returns false if the entry has no meaning any more.
  std::function<bool(EntryView key, EntryView value, EntryBytes& new_key, EntryBytes& new_value)>
      convert;
};

struct AbiStep {
  std::vector<MapConversion> conversions;
  std::vector<std::string_view> gone;  // maps that the next ABI does not have
};

// Opens the pin of a map of the old ABI, for steps that need more than the entry itself. Empty if
// there is no such pin.
using OpenPin = std::function<Fd(std::string_view map)>;

// A conversion of fixed sizes. `convert` gets the new entry zeroed.
template <class Key, class Value, class NewKey, class NewValue>
MapConversion convert_entries(std::string_view map,
                              bool (*convert)(const Key&, const Value&, NewKey&, NewValue&)) {
  return {map, sizeof(Key), sizeof(Value),
          [convert](EntryView key, EntryView value, EntryBytes& new_key, EntryBytes& new_value) {
            Key old_key;
            Value old_value;
            std::memcpy(&old_key, key.data(), sizeof(old_key));
            std::memcpy(&old_value, value.data(), sizeof(old_value));
            NewKey made_key{};
            NewValue made_value{};
            if (!convert(old_key, old_value, made_key, made_value)) return false;
            new_key.resize(sizeof(made_key));
            new_value.resize(sizeof(made_value));
            std::memcpy(new_key.data(), &made_key, sizeof(made_key));
            std::memcpy(new_value.data(), &made_value, sizeof(made_value));
            return true;
          }};
}

}  // namespace remora
