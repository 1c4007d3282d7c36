// SPDX-License-Identifier: Apache-2.0
//
// The pinned maps of an instance, which outlive the daemon: which of them are taken over,
// which give way to new ones, and what goes over into these.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/fd.h"
#include "daemon/config/memory_plan.h"
#include "daemon/kernel/flow_table.h"

namespace remora {

inline constexpr const char* kRootArray = "root_array";

class PinnedMaps {
 public:
  // `shared_root_array`: the pin of the root array where it is not ours alone, else empty.
  PinnedMaps(std::filesystem::path folder, std::filesystem::path shared_root_array);

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path pin_of(const std::string& map) const;

  // Decides for every map of the objects, which are open but not loaded, whether its pin
  // can be taken over. One that cannot gives way; where only the size of a hash changed,
  // its entries are copied. Makes the maps that no program names. Throws
  // std::runtime_error with the remedy; restore() then puts all back.
  void claim(const std::vector<bpf_object*>& objects, const std::vector<TableMemory>& plan);

  // Behind the load: the flows of a table whose size changed go over into the new one.
  void move_flows(const FlowTable::Maps& now) const;

  // The new maps are in use: those that gave way go.
  void settle() { displaced_.clear(); }

  // Puts back what gave way, and removes what was made. What is in the kernel goes on
  // with the maps that it has.
  void restore() noexcept;

  // A map that no program has by this name.
  void add_own(const std::string& name, Fd map) { own_.emplace(name, std::move(map)); }
  // Its descriptor; -1: it is none of those.
  int own_fd(const std::string& name) const;

  // Whether the map was made anew, empty, by this process.
  bool is_fresh(std::string_view name) const;

 private:
  // What becomes of a flow table that is there: none of its maps is of use without the
  // others.
  enum class FlowTableFate { kStays, kMoves, kMadeAnew };

  struct Layout {
    std::uint32_t key_size;
    std::uint32_t value_size;
    std::uint32_t entries;
  };

  bool is_same_abi() const;
  FlowTableFate fate_of_flow_table(const std::vector<bpf_object*>& objects) const;
  bool may_stay(const bpf_map* map, const bpf_map_info& pinned) const;
  bool is_copied(const bpf_map* map, const bpf_map_info& pinned) const;
  void resize(const std::string& name, const bpf_map* map) const;
  void claim_own(const std::string& name, const Layout& layout);

  const std::filesystem::path folder_;
  const std::filesystem::path shared_root_array_;
  bool same_abi_ = true;
  FlowTableFate flow_table_ = FlowTableFate::kStays;
  std::map<std::string, Fd> own_;
  std::vector<std::string> fresh_;       // names of maps made by this process
  std::map<std::string, Fd> displaced_;  // pinned maps that gave way to these
};

}  // namespace remora
