// SPDX-License-Identifier: Apache-2.0
//
// The pinned maps of an instance, which outlive the daemon: which of them are taken over,
// which give way to new ones, and what goes over into these.
//
// New maps are pinned in the folder `next` until the programs that use them are attached;
// then their pins take the places of the old ones. A start that fails, or is killed, leaves
// the old pins as they were.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/fd.h"
#include "daemon/config/config.h"
#include "daemon/config/map_list.h"
#include "daemon/kernel/abi/chain.h"
#include "daemon/kernel/flow_table.h"
#include "daemon/kernel/flow_transfer.h"
#include "daemon/kernel/former_ring.h"
#include "daemon/kernel/half_open_table.h"

namespace remora {

inline constexpr const char* kRootArray = "root_array";

class PinnedMaps {
 public:
  // `shared_root_array`: the pin of the root array if others use it, too; otherwise empty.
  PinnedMaps(std::filesystem::path folder, std::filesystem::path shared_root_array);

  const std::filesystem::path& folder() const { return folder_; }

  // Decides for every map of the objects, which are open but not loaded, whether its pin
  // can be taken over, and where a new one is pinned. Makes the maps that no program names.
  // Throws std::runtime_error with the remedy; restore() then puts all back.
  void claim(const std::vector<bpf_object*>& objects, const Config& config);

  // The descriptor of a loaded map.
  using MapFd = std::function<int(const std::string& name)>;

  // After loading: what new maps take over from the old ones, all but the flows.
  void carry_over(const MapFd& map_fd);

  // Right before the programs are attached: moves the flows. From here on a start that is
  // killed is completed by the next.
  void begin_switch(const FlowTable::Maps& flow_table);

  // After attaching: what the old programs did meanwhile goes over, and the new pins take
  // their places.
  void settle(const MapFd& map_fd, const FlowTable::Maps& flow_table);

  // Removes what was made. What is in the kernel goes on with the maps that it has.
  void restore() noexcept;

  // A map that no program has by this name.
  void add_own(const std::string& name, Fd map) { own_.emplace(name, std::move(map)); }
  const std::map<std::string, Fd>& own() const { return own_; }
  // Its descriptor; -1: it is none of those.
  int own_fd(const std::string& name) const;

  // Whether the map was made by this process, and nothing went over into it.
  bool is_fresh(std::string_view name) const;

  // The ring of the former ABI, which may hold records that nobody has read; else nullptr.
  FormerRing* former_ring() { return former_ring_ ? &*former_ring_ : nullptr; }

  // Removes the pins of new maps, for `--detach`.
  static void remove_next(const std::filesystem::path& folder) noexcept;

 private:
  enum class Fate {
    kNone,         // there is no pin
    kKept,         // taken over
    kReplaced,     // of no use
    kCarriedOver,  // replaced, and its entries go over
  };
  struct Former {
    Fd map;
    MapConverter converter;
  };

  static CopyCounts copy_sets(Former& former, const MapFd& map_fd, Into into);

  bool is_shared(const std::string& map) const;
  // Where a map is pinned: a new one in `next`.
  std::filesystem::path pin_of(const std::string& map) const;
  std::filesystem::path next_folder() const { return folder_ / "next"; }

  std::uint32_t pinned_abi() const;
  void read_chain();
  Fate fate_of(const std::string& name, const bpf_map* map);
  Fate fate_of_flow_table(const std::vector<bpf_object*>& objects);
  void claim_map(const std::string& name, const std::vector<bpf_object*>& objects);
  void keep_ring_size(const std::string& name, const std::vector<bpf_object*>& objects) const;
  void claim_own(const MapSpec& spec, const Limits& limits);
  void finish_switch_of_predecessor();
  void publish_next();

  const std::filesystem::path folder_;
  const std::filesystem::path shared_root_array_;
  std::optional<AbiChain> chain_;  // nothing: the ABI of the pins is not known
  // None of the maps of a flow table is of use without the others.
  Fate flow_table_ = Fate::kNone;
  std::map<std::string, Fd> own_;
  std::set<std::string, std::less<>> made_;          // maps that this process made
  std::set<std::string, std::less<>> carried_over_;  // those of them that are not empty
  std::map<std::string, Former> former_;             // hashes whose entries go over
  std::optional<FlowTransfer> flows_;
  std::optional<FormerRing> former_ring_;
};

}  // namespace remora
