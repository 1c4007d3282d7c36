// SPDX-License-Identifier: Apache-2.0
#include "tests/support/upstream_katran.h"

#include <bpf/bpf.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <system_error>

#include "bpf/parse.h"
#include "daemon/base/fd.h"

namespace remora {
namespace {

// A connection's entry. Key: both addresses, both ports, the protocol; value: the real and a time.
constexpr std::uint32_t kConnectionKey = 40, kConnectionValue = 16;
constexpr std::uint32_t kFewServerIds = 16;  // for QUIC, which is not used here

// Address (IPv4 in the first four bytes), port in network order, protocol.
using VipKey = std::array<std::uint8_t, 20>;
constexpr std::size_t kPortAt = 16, kProtocolAt = 18;

[[noreturn]] void fail(int error, const std::string& what) {
  throw std::system_error(std::abs(error), std::generic_category(), "Katran: " + what);
}

void require(int result, const std::string& what) {
  if (result < 0) fail(result, what);
}

VipKey key_of(const address& vip, std::uint16_t port) {
  VipKey key{};
  if (is_ipv4(&vip))
    std::memcpy(key.data(), &vip.word[3], sizeof(vip.word[3]));
  else
    std::memcpy(key.data(), vip.word, sizeof(vip.word));
  const std::uint16_t wire_port = host_to_net16(port);
  std::memcpy(key.data() + kPortAt, &wire_port, sizeof(wire_port));
  key[kProtocolAt] = IPPROTO_TCP;
  return key;
}

Fd make_connections(std::uint32_t entries) {
  Fd table(bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "connections", kConnectionKey, kConnectionValue,
                          entries, nullptr));
  if (!table) fail(errno, "make a table of connections");
  return table;
}

}  // namespace

const char* katran_object_path() {
  return std::getenv("REMORA_KATRAN_OBJ");
}

UpstreamKatran::UpstreamKatran(const std::string& path, const KatranLimits& limits)
    : object_(bpf_object__open_file(path.c_str(), nullptr)), limits_(limits) {
  if (!object_) fail(errno, "open " + path);
  const auto find = [&](const char* name) {
    bpf_map* map = bpf_object__find_map_by_name(object_.get(), name);
    if (map == nullptr) fail(ENOENT, std::string("find map ") + name);
    return map;
  };
  require(bpf_map__set_max_entries(find("ch_rings"), limits.vips * RING_SIZE), "size ch_rings");
  if (bpf_map* ids = bpf_object__find_map_by_name(object_.get(), "server_id_map"))
    require(bpf_map__set_max_entries(ids, kFewServerIds), "size server_id_map");
  const Fd pattern = make_connections(limits.connections);
  require(bpf_map__set_inner_map_fd(find("lru_mapping"), pattern.get()), "size lru_mapping");

  bpf_program* balancer = bpf_object__find_program_by_name(object_.get(), "balancer_ingress");
  if (balancer == nullptr) fail(ENOENT, "find program balancer_ingress");
  // The same type as for the rest of the chain: a prog array accepts programs of one type only.
  require(bpf_program__set_expected_attach_type(balancer, BPF_XDP), "set the attach type");
  require(bpf_object__load(object_.get()), "load " + path);
  forget_connections();
}

int UpstreamKatran::program_fd() const {
  return bpf_program__fd(bpf_object__find_program_by_name(object_.get(), "balancer_ingress"));
}

int UpstreamKatran::map_fd(const char* name) const {
  const bpf_map* map = bpf_object__find_map_by_name(object_.get(), name);
  if (map == nullptr) fail(ENOENT, std::string("find map ") + name);
  return bpf_map__fd(map);
}

void UpstreamKatran::put_vip(const address& vip, std::uint16_t port, std::uint32_t vip_num,
                             std::uint32_t flags) {
  const VipKey key = key_of(vip, port);
  const std::uint32_t meta[2] = {flags, vip_num};
  require(bpf_map_update_elem(map_fd("vip_map"), key.data(), meta, BPF_ANY), "write a VIP");
}

void UpstreamKatran::put_ring(std::uint32_t vip_num, const std::vector<std::uint32_t>& ring) {
  std::vector<std::uint32_t> keys(ring.size());
  std::iota(keys.begin(), keys.end(), vip_num * RING_SIZE);
  auto count = static_cast<std::uint32_t>(keys.size());
  require(bpf_map_update_batch(map_fd("ch_rings"), keys.data(), ring.data(), &count, nullptr),
          "write a ring");
}

void UpstreamKatran::put_real(std::uint32_t index, const real& real) {
  require(bpf_map_update_elem(map_fd("reals"), &index, &real, BPF_ANY), "write a real");
}

void UpstreamKatran::put_gateway(const gateway& gateway) {
  const std::uint32_t zero = 0;
  require(bpf_map_update_elem(map_fd("ctl_array"), &zero, &gateway, BPF_ANY), "write the gateway");
}

void UpstreamKatran::forget_vips() {
  const int fd = map_fd("vip_map");
  for (VipKey key; bpf_map_get_next_key(fd, nullptr, key.data()) == 0;)
    require(bpf_map_delete_elem(fd, key.data()), "remove a VIP");
}

void UpstreamKatran::forget_connections() {
  const int tables = map_fd("lru_mapping");
  for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++) {
    const Fd table = make_connections(limits_.connections);
    const int fd = table.get();
    require(bpf_map_update_elem(tables, &cpu, &fd, BPF_ANY), "place a table of connections");
  }
}

vip_stats UpstreamKatran::stats(std::uint32_t index) const {
  std::vector<vip_stats> per_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  require(bpf_map_lookup_elem(map_fd("stats"), &index, per_cpu.data()), "read its statistics");
  vip_stats sum{};
  for (const vip_stats& one : per_cpu) {
    sum.packets += one.packets;
    sum.bytes += one.bytes;
  }
  return sum;
}

}  // namespace remora
