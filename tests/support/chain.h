// SPDX-License-Identifier: Apache-2.0
//
// The real BPF programs, loaded and linked as in production: root, mqtt stage and forwarder in one
// prog array, with all maps shared, and the TC programs.
//
// Nothing is pinned or attached: everything is gone with the object.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "bpf/abi.h"
#include "daemon/kernel/client_table.h"
#include "daemon/kernel/flow_table.h"
#include "daemon/kernel/half_open_table.h"
#include "tests/support/packet.h"

namespace remora {

// The values that the daemon sets before it loads the programs.
struct ChainLimits {
  std::uint32_t flows = 1024;
  std::uint32_t half_open = 1024;
  std::uint32_t clients = 1024;
  std::uint32_t topics = 1024;
  std::uint32_t early_segments = 1024;
  std::uint32_t rings = 4;
  std::uint32_t event_bytes = 1 << 16;
  bool behind_katran = false;  // leaves the forwarder's slot empty, for Katran
};

// A map by its descriptor, which somebody else owns.
template <class Key, class Value>
class MapView {
 public:
  explicit MapView(int fd) : fd_(fd) {}

  std::optional<Value> find(const Key& key) const {
    Value value;
    if (bpf_map_lookup_elem(fd_, &key, &value) == 0) return value;
    if (errno == ENOENT) return std::nullopt;
    throw std::system_error(errno, std::generic_category(), "look up in a map");
  }

  void put(const Key& key, const Value& value) const {
    if (bpf_map_update_elem(fd_, &key, &value, BPF_ANY) != 0)
      throw std::system_error(errno, std::generic_category(), "write to a map");
  }

  void remove(const Key& key) const { bpf_map_delete_elem(fd_, &key); }

  std::size_t size() const {
    std::size_t keys = 0;
    Key key;
    for (bool more = bpf_map_get_next_key(fd_, nullptr, &key) == 0; more;
         more = bpf_map_get_next_key(fd_, &key, &key) == 0)
      keys++;
    return keys;
  }

 private:
  int fd_;
};

// A record of the ring.
struct Event {
  event head;
  std::string data;

  std::string topic() const { return data.substr(head.topic_offset, head.topic_len); }
};

class Chain {
 public:
  // Throws std::system_error if the kernel refuses something.
  explicit Chain(const ChainLimits& limits = {});

  int map_fd(const char* name) const;
  template <class Key, class Value>
  MapView<Key, Value> map(const char* name) const {
    return MapView<Key, Value>(map_fd(name));
  }

  const FlowTable& flows() const { return *flows_; }
  ClientTable clients() const { return {map_fd("predictions"), map_fd("topic_keys")}; }
  HalfOpenTable half_open() const { return {map_fd("half_open"), map_fd("topic_keys")}; }

  int root_fd() const;
  int forwarder_fd() const;
  int probe_fd() const;
  int health_out_fd() const;
  int health_in_fd() const;

  void put_in_slot(std::uint32_t slot, int program_fd);
  void empty_slot(std::uint32_t slot);

  // Writes a ring of RING_SIZE slots.
  void set_ring(std::uint32_t vip_num, const std::vector<std::uint32_t>& ring);

  std::uint64_t counter(enum counter which) const;
  // PUBLISHes of connections at one group, by kind of message.
  message_counts messages(std::uint32_t group) const;

  // Takes all records out of the ring buffer; waits up to `wait_ms` for the first.
  std::vector<Event> take_events(int wait_ms = 0);

 private:
  struct CloseObject {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
  };
  using Object = std::unique_ptr<bpf_object, CloseObject>;
  std::uint64_t publishes() const;

  struct FreeRing {
    void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
  };

  Object mqtt_;  // owns the maps
  Object root_, forwarder_, probe_, health_;
  std::optional<FlowTable> flows_;
  std::vector<Event> taken_;
  std::unique_ptr<ring_buffer, FreeRing> ring_;  // calls back into `taken_`
};

struct RunResult {
  std::uint32_t verdict;
  Bytes metadata;  // before the frame
  Bytes frame;
};

// Runs an XDP program once on a frame, with BPF_PROG_TEST_RUN.
RunResult run_xdp(int program_fd, Bytes frame);

struct TcResult {
  std::int32_t verdict;  // TC_ACT_...
  Bytes frame;
};

// Runs a TC program in the same way.
TcResult run_tc(int program_fd, Bytes frame);

// Whether this process may load BPF programs at all.
bool may_load_bpf();

}  // namespace remora
