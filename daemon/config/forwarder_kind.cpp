// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/forwarder_kind.h"

#include <cstddef>

namespace remora {
namespace {

constexpr ForwarderTraits kKinds[] = {
    {.kind = ForwarderKind::kEmbedded,
     .word = "embedded",
     .needed_key = "",
     .finds_groups_by_vip = false,
     .has_our_reals = true,
     .shares_root_array = false,
     .takes_outer_source = true},
    {.kind = ForwarderKind::kKatranObject,
     .word = "katran-object",
     .needed_key = "katran_object",
     .finds_groups_by_vip = true,
     .has_our_reals = true,
     .shares_root_array = false,
     .takes_outer_source = false},
    {.kind = ForwarderKind::kKatranShared,
     .word = "katran-shared",
     .needed_key = "katran_root_array",
     .finds_groups_by_vip = true,
     .has_our_reals = false,
     .shares_root_array = true,
     .takes_outer_source = false},
};

}  // namespace

const ForwarderTraits& traits_of(ForwarderKind kind) {
  return kKinds[static_cast<std::size_t>(kind)];
}

std::span<const ForwarderTraits> forwarder_kinds() {
  return kKinds;
}

}  // namespace remora
