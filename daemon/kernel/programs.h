// SPDX-License-Identifier: Apache-2.0
//
// Loads and attaches the BPF programs, and takes over their pinned maps.
//
// Everything that must outlive the daemon is pinned in one folder of bpffs: the maps, and the
// link that holds the root program on the interface. The next daemon finds them and puts its
// own programs into the slots. Packets are forwarded all the time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/handles.h"
#include "daemon/config/config.h"
#include "daemon/kernel/filters.h"
#include "daemon/kernel/flow_table.h"
#include "daemon/kernel/pinned_maps.h"
#include "daemon/kernel/program_list.h"

namespace remora {

struct NamedProgram {
  std::string name;
  int fd;  // owned by its loader
};

// Facts that the kernel tells about a program; empty if it does not.
struct ProgramInfo {
  std::uint32_t id;
  std::uint32_t instructions;  // counted by the verifier
};
std::optional<ProgramInfo> info_of(const NamedProgram& program);

class Programs {
 public:
  // Loads all programs, and takes over maps from the folder if their layout and size are ours.
  // Attaches nothing yet. Throws std::runtime_error with the remedy; the pins are then as they were
  // before.
  Programs(const Config& config, std::filesystem::path folder, unsigned interface_index);
  ~Programs();
  Programs(const Programs&) = delete;
  Programs& operator=(const Programs&) = delete;

  // Puts the programs into their slots and on the interface. `forwarder` goes into the forwarder's
  // slot; without it that slot stays as it is. Throws std::runtime_error with the remedy; then
  // nothing is attached that was not attached before.
  void attach(const std::optional<NamedProgram>& forwarder);

  // Whether the root program is on the interface. An interface that was created again does not have
  // it, even with the same name and index.
  bool is_on_interface() const;

  // Puts back everything that other tools have removed: from the interface, from the stage's slot,
  // or pins. Returns what was missing, for people; empty: nothing was. Throws std::runtime_error
  // with the remedy if something cannot be put back.
  std::string put_back();

  // The interface was created again, with another index: put_back() attaches the programs there.
  void move_to(unsigned interface_index) { interface_index_ = interface_index; }

  // Whether another tool has emptied the forwarder's slot, so that packets are dropped. False if
  // the slot is shared, because the Katran server fills it.
  bool lacks_forwarder() const;

  // The folder of the pins.
  const std::filesystem::path& folder() const { return pins_.folder(); }

  int map_fd(std::string_view name) const;
  FlowTable::Maps flow_table() const;
  // Throws std::logic_error for an unknown name.
  NamedProgram program(std::string_view name) const;
  // The ring of a former ABI, which may hold records that nobody has read; nullptr: none.
  FormerRing* former_ring() { return pins_.former_ring(); }
  // Whether this process made the map, and copied nothing into it.
  bool is_fresh(std::string_view name) const { return pins_.is_fresh(name); }

  // The programs that are attached with every forwarder.
  std::vector<NamedProgram> chain() const;

  // Removes everything from the interface and all pins. Returns whether there was anything.
  // Throws std::runtime_error.
  static bool detach(const std::filesystem::path& folder, unsigned interface_index);

 private:
  struct Program {
    const ProgramSpec& spec;
    BpfObjectHandle object;

    // The object's first program.
    bpf_program* entry() const { return bpf_object__next_program(object.get(), nullptr); }
    NamedProgram named() const { return {std::string(spec.name), bpf_program__fd(entry())}; }
  };

  void open(const Config& config);
  void share_root_array();
  void load();
  const Program& find(std::string_view name) const;
  void attach_filters();
  void attach_root();
  void require_filters() const;
  int fd_of(const Filter& filter) const;
  void fill_slot(std::uint32_t slot, const NamedProgram& program);
  bool is_in_slot(std::uint32_t slot, const NamedProgram& program) const;
  std::size_t put_pins_back();
  void keep_gro_off() const;

  unsigned interface_index_;
  const XdpMode xdp_mode_;
  const std::filesystem::path shared_root_array_;  // empty: the array is not shared
  PinnedMaps pins_;
  std::vector<Program> programs_;  // in the order of program_list()
  Fd link_;  // of the root program: keeps it on the interface even if the pin is removed
  bool attached_ = false;
};

// The folder of an instance's pins. Creates it, but mounts nothing. Throws std::runtime_error if
// `bpffs` is not a BPF file system.
std::filesystem::path pin_folder(const std::filesystem::path& bpffs, const std::string& instance);

}  // namespace remora
