// SPDX-License-Identifier: Apache-2.0
#include "tests/support/abi_4_pins.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <string>

#include "daemon/base/bpf_errors.h"
#include "daemon/base/bpf_map.h"
#include "daemon/base/clock.h"
#include "daemon/base/fd.h"
#include "daemon/kernel/client_table.h"
#include "daemon/kernel/half_open_table.h"

namespace remora {
namespace {

namespace fs = std::filesystem;

constexpr __u32 kOnly = 0;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + because(errno));
}

Fd open_pin(const fs::path& pin) {
  Fd map(bpf_obj_get(pin.c_str()));
  if (!map) fail("cannot open " + pin.string());
  return map;
}

Fd make_map(const char* name, const bpf_map_info& like, std::uint32_t value_size,
            std::uint32_t flags) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = flags);
  Fd map(bpf_map_create(static_cast<bpf_map_type>(like.type), name, like.key_size, value_size,
                        like.max_entries, &options));
  if (!map) fail(std::string("cannot make the map ") + name);
  return map;
}

void replace(const fs::path& pin, const Fd& map) {
  ::unlink(pin.c_str());
  if (bpf_obj_pin(map.get(), pin.c_str()) != 0) fail("cannot pin " + pin.string());
}

abi4::flow_place place_of_abi_4(const flow_place& now) {
  abi4::flow_place old{};
  std::memcpy(&old.key, &now.key, sizeof(old.key));
  old.flow = flow_of_abi_4(now.flow);
  return old;
}

void downgrade_flows(const fs::path& folder) {
  const Fd now = open_pin(folder / "flows");
  const bpf_map_info info = map_info(now.get());
  const Fd old = make_map("flows", info, sizeof(abi4::flow_place), BPF_F_MMAPABLE);
  for (__u32 number = 1; number < info.max_entries; ++number) {
    flow_place place;
    if (bpf_map_lookup_elem(now.get(), &number, &place) != 0) fail("cannot read a place");
    if (place.claim == PLACE_FREE) continue;
    const abi4::flow_place before = place_of_abi_4(place);
    if (bpf_map_update_elem(old.get(), &number, &before, BPF_ANY) != 0)
      fail("cannot write a place");
  }
  replace(folder / "flows", old);
}

void downgrade_places_taken(const fs::path& folder) {
  const Fd now = open_pin(folder / "places_taken");
  __u32 taken = 0;
  if (bpf_map_lookup_elem(now.get(), &kOnly, &taken) != 0) fail("cannot read places_taken");
  const Fd old = make_map("places_taken", map_info(now.get()), sizeof(taken), 0);
  if (bpf_map_update_elem(old.get(), &kOnly, &taken, BPF_ANY) != 0) fail("cannot write a number");
  replace(folder / "places_taken", old);
}

void downgrade_half_open(const fs::path& folder) {
  const Fd now = open_pin(folder / "half_open"), keys = open_pin(folder / "topic_keys");
  const HalfOpenTable table(now.get(), keys.get());
  const Fd old(bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "half_open", sizeof(half_open_key),
                              sizeof(abi4::flow), 1024, nullptr));
  if (!old) fail("cannot make half_open");
  table.for_each([&](const half_open_key& key, const flow& entry) {
    const abi4::flow before = flow_of_abi_4(entry);
    if (bpf_map_update_elem(old.get(), &key, &before, BPF_ANY) != 0) fail("cannot write a flow");
  });
  replace(folder / "half_open", old);
}

void downgrade_predictions(const fs::path& folder) {
  const Fd now = open_pin(folder / "predictions"), keys = open_pin(folder / "topic_keys");
  const Fd old(bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "predictions", sizeof(client_key),
                              sizeof(abi4::prediction), 65'536, nullptr));
  if (!old) fail("cannot make predictions");
  ClientTable(now.get(), keys.get()).for_each([&](const client& entry, std::uint16_t) {
    const client_key key{entry.address, entry.service, 0};
    const abi4::prediction before{.topic_hash = entry.topic_hash,
                                  .seen_at_ns = monotonic_ns(),
                                  .group = entry.group,
                                  .pad = {}};
    if (was_taught(&entry) && bpf_map_update_elem(old.get(), &key, &before, BPF_ANY) != 0)
      fail("cannot write a prediction");
  });
  replace(folder / "predictions", old);
}

// Nothing of it is taken over, but its pin is in the way.
void add_guards(const fs::path& folder) {
  const Fd old(bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "guards", sizeof(address), 16, 1024, nullptr));
  if (!old) fail("cannot make guards");
  replace(folder / "guards", old);
}

void downgrade_ring(const fs::path& folder) {
  const bpf_map_info info = map_info(open_pin(folder / "events").get());
  replace(folder / "events", make_map("events", info, 0, 0));
}

void downgrade_settings(const fs::path& folder) {
  const Fd now = open_pin(folder / "settings");
  settings entry{};
  if (bpf_map_lookup_elem(now.get(), &kOnly, &entry) != 0) fail("cannot read the settings");
  abi4::settings before;
  std::memcpy(&before, &entry, sizeof(before));
  before.abi = abi4::kAbi;
  const Fd old = make_map("settings", map_info(now.get()), sizeof(before), 0);
  if (bpf_map_update_elem(old.get(), &kOnly, &before, BPF_ANY) != 0) {
    fail("cannot write the settings");
  }
  replace(folder / "settings", old);
}

}  // namespace

abi4::flow flow_of_abi_4(const flow& now) {
  abi4::flow old{};
  old.seen_at_ns = now.seen_at_ns;
  old.end_seq = now.edge;
  old.real = now.real;
  old.group = now.group;
  old.state = now.state;
  old.flags = static_cast<__u8>(now.flags);
  old.generation = now.generation;
  old.topic_hash = now.topic_hash;
  std::memcpy(&old.stream, &now.stream, sizeof(old.stream));
  const unsigned gaps = now.gaps < abi4::kMostStreamGaps ? now.gaps : abi4::kMostStreamGaps;
  old.stream.flags = static_cast<__u8>(now.stream.flags | gaps << abi4::kStreamGapShift);
  old.isn = now.isn;
  old.prior_group = now.prior_group;
  old.early = now.early;
  old.first_early = now.first_early;
  old.last_early = now.last_early;
  old.gap_began = now.gap_began;
  return old;
}

void downgrade_to_abi_4(const fs::path& folder) {
  downgrade_flows(folder);
  downgrade_places_taken(folder);
  downgrade_half_open(folder);
  downgrade_predictions(folder);
  add_guards(folder);
  downgrade_ring(folder);
  downgrade_settings(folder);
}

void write_record(int ring_fd, std::span<const std::byte> record) {
  const auto size = static_cast<__u32>(record.size());
  const Fd array(bpf_map_create(BPF_MAP_TYPE_ARRAY, "record", sizeof(__u32), size, 1, nullptr));
  if (!array || bpf_map_update_elem(array.get(), &kOnly, record.data(), BPF_ANY) != 0) {
    fail("cannot keep the record");
  }
  // bpf_ringbuf_output(ring, &array[0], size, 0)
  const bpf_insn program[] = {
      {BPF_ST | BPF_W | BPF_MEM, BPF_REG_10, 0, -4, 0},
      {BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, array.get()},
      {0, 0, 0, 0, 0},
      {BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0},
      {BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -4},
      {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem},
      {BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 6, 0},
      {BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, ring_fd},
      {0, 0, 0, 0, 0},
      {BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_0, 0, 0},
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, static_cast<__s32>(size)},
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0, 0},
      {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ringbuf_output},
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  };
  const Fd loaded(bpf_prog_load(BPF_PROG_TYPE_XDP, "write_record", "GPL", program,
                                std::size(program), nullptr));
  if (!loaded) fail("cannot load the program that writes a record");
  unsigned char frame[ETH_ZLEN] = {};
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = sizeof(frame));
  if (bpf_prog_test_run_opts(loaded.get(), &options) != 0) fail("cannot write a record");
}

}  // namespace remora
