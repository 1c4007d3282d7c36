// SPDX-License-Identifier: Apache-2.0
//
// The pinned maps of an instance, which outlive the daemon: which of them are taken over, which are
// replaced, and which entries are copied into the new ones.
//
// New maps are pinned in the folder `next` until the programs that use them are attached. Then
// their pins replace the old ones. A start that fails, or is killed, leaves the old pins as they
// were.
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
#include "daemon/kernel/client_table.h"
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

  // Decides for every map of the objects, which are open but not loaded, whether its pin is taken
  // over, and where a new one is pinned. Makes the maps that no program names. Throws
  // std::runtime_error with the remedy; restore() then undoes everything.
  void claim(const std::vector<bpf_object*>& objects, const Config& config);

  // The descriptor of a loaded map.
  using MapFd = std::function<int(const std::string& name)>;

  // After loading: copies the entries that new maps take over from the old ones, except the flows.
  void carry_over(const MapFd& map_fd);

  // Right before the programs are attached: moves the flows, and counts them for their clients.
  // From here on the next start completes a start that is killed.
  void begin_switch(const MapFd& map_fd, const FlowTable::Maps& flow_table);

  // After attaching: copies the old programs' last changes, and the new pins replace the old
  // ones.
  void settle(const MapFd& map_fd, const FlowTable::Maps& flow_table);

  // Removes the maps and pins that were made. Programs in the kernel keep their maps.
  void restore() noexcept;

  // Adds a map that no program has by this name.
  void add_own(const std::string& name, Fd map) { own_.emplace(name, std::move(map)); }
  const std::map<std::string, Fd>& own() const { return own_; }
  // The descriptor of such a map; -1: the name is unknown.
  int own_fd(const std::string& name) const;

  // Whether this process made the map, and copied nothing into it.
  bool is_fresh(std::string_view name) const;

  // The ring of the former ABI, which may hold records that nobody has read; nullptr: none.
  FormerRing* former_ring() { return former_ring_ ? &*former_ring_ : nullptr; }

  // Removes the pins of new maps, for `--detach`.
  static void remove_next(const std::filesystem::path& folder) noexcept;

 private:
  enum class Fate {
    kNone,         // there is no pin
    kKept,         // taken over
    kReplaced,     // not usable
    kCarriedOver,  // replaced, and its entries are copied
  };
  struct Former {
    Fd map;
    MapConverter converter;
  };

  static CopyCounts copy_sets(const std::string& name, Former& former, const MapFd& map_fd,
                              Into into);
  static void count_connections(const ClientTable& clients, const FlowTable& flows);

  bool is_shared(const std::string& map) const;
  // Where a map is pinned; a new one is in `next`.
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
  std::optional<AbiChain> chain_;  // no value: the ABI of the pins is unknown
  // The maps of a flow table are useless without each other, so they share their fate.
  Fate flow_table_ = Fate::kNone;
  std::map<std::string, Fd> own_;
  std::set<std::string, std::less<>> made_;          // maps that this process made
  std::set<std::string, std::less<>> carried_over_;  // those of them that got entries
  std::map<std::string, Former> former_;             // hashes whose entries are copied
  std::optional<FlowTransfer> flows_;
  std::optional<FormerRing> former_ring_;
};

}  // namespace remora
