// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/decap_state.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <array>
#include <cerrno>
#include <map>
#include <numeric>
#include <string>
#include <string_view>
#include <system_error>

#include "bpf/decap.h"
#include "bpf/parse.h"
#include "cli/doctor/programs.h"

namespace remora::doctor {
namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// The maps of a program by their names.
std::map<std::string, Fd> maps_of(std::uint32_t program_id) {
  const Fd program = open_program(program_id);
  std::array<std::uint32_t, 64> ids{};
  bpf_prog_info info{};
  info.nr_map_ids = ids.size();
  info.map_ids = reinterpret_cast<std::uintptr_t>(ids.data());
  __u32 size = sizeof(info);
  if (bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0)
    fail("cannot read about the decap program");
  std::map<std::string, Fd> found;
  for (std::size_t i = 0; i < info.nr_map_ids && i < ids.size(); ++i) {
    Fd map(bpf_map_get_fd_by_id(ids[i]));
    bpf_map_info about{};
    __u32 about_size = sizeof(about);
    if (!map || bpf_obj_get_info_by_fd(map.get(), &about, &about_size) != 0)
      fail("cannot open a map of the decap program");
    found.emplace(about.name, std::move(map));
  }
  return found;
}

template <class Key, class Visit>
void for_each_key(const Fd& map, Visit&& visit) {
  Key key{}, next{};
  for (const void* at = nullptr; bpf_map_get_next_key(map.get(), at, &next) == 0; at = &key) {
    key = next;
    visit(key);
  }
}

std::uint64_t count_of(const Fd& counts, std::uint32_t number) {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) fail("cannot count the CPUs");
  std::vector<std::uint64_t> per_cpu(static_cast<std::size_t>(cpus));
  if (bpf_map_lookup_elem(counts.get(), &number, per_cpu.data()) != 0)
    fail("cannot read the counters of the decap program");
  return std::accumulate(per_cpu.begin(), per_cpu.end(), std::uint64_t{0});
}

std::optional<Prefix> prefix_of(const decap_network& network) {
  const Address first(network.first);
  const std::uint32_t bits = first.is_ipv4() ? network.bits - 96 : network.bits;
  return Prefix::parse(to_string(first) + "/" + std::to_string(bits));
}

}  // namespace

DecapState decap_in_force(std::uint32_t program_id) {
  const std::map<std::string, Fd> maps = maps_of(program_id);
  DecapState state;
  if (const auto vips = maps.find("vips"); vips != maps.end()) {
    for_each_key<service_key>(vips->second, [&](const service_key& key) {
      address service{};
      if (bpf_map_lookup_elem(vips->second.get(), &key, &service) == 0)
        state.vips.push_back({Address(key.address), Address(service), net_to_host16(key.port)});
    });
  }
  if (const auto services = maps.find("decap_services"); services != maps.end()) {
    state.services.emplace();
    for_each_key<service_key>(services->second, [&](const service_key& key) {
      state.services->push_back({Address(key.address), net_to_host16(key.port)});
    });
  }
  if (const auto sources = maps.find("decap_sources"); sources != maps.end()) {
    for_each_key<decap_network>(sources->second, [&](const decap_network& key) {
      if (const auto network = prefix_of(key)) state.from.push_back(*network);
    });
  }
  if (const auto counts = maps.find("decap_counts"); counts != maps.end()) {
    state.no_service = count_of(counts->second, DECAP_NO_SERVICE);
    state.foreign_source = count_of(counts->second, DECAP_FOREIGN_SOURCE);
  }
  return state;
}

}  // namespace remora::doctor
