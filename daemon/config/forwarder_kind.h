// SPDX-License-Identifier: Apache-2.0
//
// The kinds of forwarder that a configuration can name, and what each means for the
// configuration.
//
// daemon/forwarders implements them. Other code does not compare kinds: it asks for the trait on
// which it depends.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace remora {

enum class ForwarderKind : std::uint8_t { kEmbedded, kKatranObject, kKatranShared };

struct ForwarderTraits {
  ForwarderKind kind;
  std::string_view word;  // in the file
  std::string_view meaning;
  std::string_view needed_key;  // of [lb]; empty: none

  // Packets must carry the VIP of their group when they reach the forwarder.
  bool finds_groups_by_vip;
  // The configuration lists the reals, and this daemon drains, checks and weighs them.
  bool has_our_reals;
  // The root array belongs to another process, or is shared with it.
  bool shares_root_array;
  // The configuration chooses the source of the outer headers.
  bool takes_outer_source;
};

// In the order of the enum.
inline constexpr std::array<ForwarderTraits, 3> kForwarderKinds = {{
    {.kind = ForwarderKind::kEmbedded,
     .word = "embedded",
     .meaning = "Remora's own forwarder",
     .needed_key = "",
     .finds_groups_by_vip = false,
     .has_our_reals = true,
     .shares_root_array = false,
     .takes_outer_source = true},
    {.kind = ForwarderKind::kKatranObject,
     .word = "katran-object",
     .meaning = "your Katran object file, loaded from `katran_object`",
     .needed_key = "katran_object",
     .finds_groups_by_vip = true,
     .has_our_reals = true,
     .shares_root_array = false,
     .takes_outer_source = false},
    {.kind = ForwarderKind::kKatranShared,
     .word = "katran-shared",
     .meaning = "a Katran server that runs beside `remorad`",
     .needed_key = "katran_root_array",
     .finds_groups_by_vip = true,
     .has_our_reals = false,
     .shares_root_array = true,
     .takes_outer_source = false},
}};

constexpr const ForwarderTraits& traits_of(ForwarderKind kind) {
  return kForwarderKinds[static_cast<std::size_t>(kind)];
}

}  // namespace remora
