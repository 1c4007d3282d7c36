// SPDX-License-Identifier: Apache-2.0
//
// The kinds of forwarder that a configuration can name, and what each means for the
// configuration.
//
// How they work is the matter of daemon/forwarders. Other code does not compare kinds; it asks
// for the trait that it depends on.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace remora {

enum class ForwarderKind : std::uint8_t { kEmbedded, kKatranObject, kKatranShared };

struct ForwarderTraits {
  ForwarderKind kind;
  std::string_view word;        // in the file
  std::string_view needed_key;  // of [lb]; empty: none

  // Packets must carry the VIP of their group when they reach it.
  bool finds_groups_by_vip;
  // The configuration lists the reals, and this daemon drains, checks and weighs them.
  bool has_our_reals;
  // The root array is another process's, or shared with it.
  bool shares_root_array;
  // The configuration chooses the source of the outer headers.
  bool takes_outer_source;
};

const ForwarderTraits& traits_of(ForwarderKind kind);

// Every kind, in the order of the enum.
std::span<const ForwarderTraits> forwarder_kinds();

}  // namespace remora
