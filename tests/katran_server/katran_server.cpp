// SPDX-License-Identifier: Apache-2.0
#include "tests/katran_server/katran_server.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>

#include "bpf/parse.h"
#include "daemon/base/bpf_map.h"

namespace remora {
namespace {

constexpr const char* kBpffs = "/sys/fs/bpf";
constexpr std::uint32_t kMostVips = 64;
constexpr std::uint32_t kMostReals = 4096;
constexpr std::uint32_t kGateways = 16;
constexpr std::uint32_t kOnly = 0;

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

Fd make_array(const char* name, std::uint32_t value_size, std::uint32_t entries) {
  Fd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(std::uint32_t), value_size, entries,
                        nullptr));
  if (!map) fail(std::string("cannot make the map ") + name);
  return map;
}

// A temporary folder in which KatranProgram pins its connection tables; removed with them.
class PassingFolder {
 public:
  PassingFolder()
      : path_(std::filesystem::path(kBpffs) /
              ("katran_server_stand_in_" + std::to_string(getpid()))) {
    std::filesystem::create_directory(path_);
  }
  ~PassingFolder() {
    KatranProgram::remove_pins(path_);
    std::error_code error;
    std::filesystem::remove(path_, error);
  }
  PassingFolder(const PassingFolder&) = delete;
  PassingFolder& operator=(const PassingFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  const std::filesystem::path path_;
};

Fd open_array(const std::filesystem::path& pin) {
  Fd array(bpf_obj_get(pin.c_str()));
  if (!array) fail("cannot open " + pin.string());
  return array;
}

real abi_of(const Address& address) {
  real entry{};
  if (address.is_ipv4()) {
    entry.address[0] = address.ipv4();
  } else {
    std::ranges::copy(address.abi().word, entry.address);
    entry.flags = REAL_IPV6;
  }
  return entry;
}

template <class Value>
Value parsed(const nlohmann::json& object, const char* key) {
  const std::string text = object.at(key);
  const auto value = Value::parse(text);
  if (!value) throw std::runtime_error(std::string(key) + ": \"" + text + "\" is none");
  return *value;
}

}  // namespace

KatranPlan parse_katran_plan(std::string_view text) try {
  const auto root = nlohmann::json::parse(text);
  KatranPlan plan;
  plan.gateway = parsed<MacAddress>(root, "gateway_mac");
  for (const auto& vip : root.at("vips")) {
    plan.vips.push_back(
        {.address = parsed<Address>(vip, "address"), .port = vip.at("port"), .reals = {}});
    for (const auto& entry : vip.at("reals")) {
      plan.vips.back().reals.push_back(
          {.address = parsed<Address>(entry, "address"), .weight = entry.value("weight", 1U)});
    }
  }
  return plan;
} catch (const nlohmann::json::exception& error) {
  throw std::runtime_error(error.what());
}

KatranServer::KatranServer(const std::filesystem::path& object)
    : rings_(make_array("ch_rings", sizeof(std::uint32_t), kMostVips * RING_SIZE)),
      reals_(make_array("reals", sizeof(real), kMostReals)),
      gateways_(make_array("ctl_array", sizeof(gateway), kGateways)),
      katran_(object, PassingFolder().path(),
              {.ch_rings = rings_.get(), .reals = reals_.get(), .ctl_array = gateways_.get()}) {}

void KatranServer::apply(const KatranPlan& plan) {
  gateway entry{};
  std::ranges::copy(plan.gateway.bytes(), entry.mac);
  BpfMap<std::uint32_t, gateway>(gateways_.get(), "ctl_array").put(kOnly, entry);
  KatranVips vips;
  for (const KatranPlan::Vip& vip : plan.vips) {
    write_ring(vip);
    vips[{vip.address, host_to_net16(vip.port)}] = {.flags = 0,
                                                    .vip_num = number_of_vip(vip.address)};
  }
  katran_.set_vips(vips);
}

void KatranServer::write_ring(const KatranPlan::Vip& vip) {
  std::vector<RingReal> reals;
  for (const KatranPlan::Real& real : vip.reals) {
    reals.push_back({real.address, real.weight, number_of_real(real.address)});
  }
  const std::vector<std::uint32_t> ring = build_ring(reals, RingVariant::kMaglevV2);
  std::vector<std::uint32_t> slots(ring.size());
  std::iota(slots.begin(), slots.end(), number_of_vip(vip.address) * RING_SIZE);
  BpfMap<std::uint32_t, std::uint32_t>(rings_.get(), "ch_rings").put_all(slots, ring);
}

std::uint32_t KatranServer::number_of_real(const Address& address) {
  // 0 means none.
  const auto next = static_cast<std::uint32_t>(real_numbers_.size() + 1);
  if (next == kMostReals) throw std::runtime_error("there are too many reals");
  const auto [found, is_new] = real_numbers_.try_emplace(address, next);
  if (is_new)
    BpfMap<std::uint32_t, real>(reals_.get(), "reals").put(found->second, abi_of(address));
  return found->second;
}

std::uint32_t KatranServer::number_of_vip(const Address& address) {
  const auto next = static_cast<std::uint32_t>(vip_numbers_.size());
  if (next == kMostVips) throw std::runtime_error("there are too many VIPs");
  return vip_numbers_.try_emplace(address, next).first->second;
}

void KatranServer::insert(const std::filesystem::path& root_array, std::uint32_t position) const {
  const Fd array = open_array(root_array);
  const int program = katran_.program_fd();
  if (bpf_map_update_elem(array.get(), &position, &program, BPF_ANY) != 0)
    fail("cannot put Katran into slot " + std::to_string(position) + " of " + root_array.string());
}

void clear_slot(const std::filesystem::path& root_array, std::uint32_t position) {
  const Fd array = open_array(root_array);
  if (bpf_map_delete_elem(array.get(), &position) != 0 && errno != ENOENT)
    fail("cannot empty slot " + std::to_string(position) + " of " + root_array.string());
}

}  // namespace remora
