// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/lb_facts.h"

#include <linux/ethtool.h>
#include <linux/magic.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include <cerrno>
#include <ctime>
#include <stdexcept>
#include <system_error>

#include "cli/client.h"
#include "cli/doctor/host.h"
#include "cli/doctor/programs.h"
#include "daemon/base/attachment.h"
#include "daemon/base/bpf_map.h"
#include "daemon/base/clock.h"
#include "daemon/base/driver_stats.h"
#include "daemon/base/fd.h"
#include "daemon/base/link.h"
#include "daemon/base/per_cpu.h"
#include "daemon/config/memory_plan.h"

namespace remora::doctor {
namespace {

namespace fs = std::filesystem;

constexpr __u32 kOnly = 0;

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

bool is_bpffs(const fs::path& path) {
  struct statfs status {};
  if (statfs(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return false;
    fail("cannot look at " + path.string());
  }
  return status.f_type == BPF_FS_MAGIC;
}

// The value that `read` gets from a pin; empty if there is no such pin.
template <class Read>
auto pinned(const fs::path& pin, Read&& read) -> Fact<std::optional<decltype(read(0))>> {
  return look([&]() -> std::optional<decltype(read(0))> {
    const Fd fd = open_pin(pin);
    if (!fd) return std::nullopt;
    return read(fd.get());
  });
}

template <class Value>
Fact<std::optional<Value>> first_of(const fs::path& folder, const char* name) {
  return pinned(folder / name, [&](int fd) {
    bpf_map_info info{};
    __u32 size = sizeof(info);
    if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) fail(std::string("cannot read ") + name);
    if (info.value_size != sizeof(Value)) {
      throw std::runtime_error(std::string("the pinned map ") + name + " is of another version");
    }
    return BpfMap<__u32, Value>(fd, name).find(kOnly).value_or(Value{});
  });
}

// A part of the fact `from`, as `part` extracts it.
template <class Value, class Part>
auto part_of(const Fact<std::optional<Value>>& from, Part&& part)
    -> Fact<std::optional<decltype(part(std::declval<Value>()))>> {
  using Result = std::optional<decltype(part(std::declval<Value>()))>;
  if (!from) return Fact<Result>::missing(from.why_not);
  return *from ? Result(part(**from)) : Result();
}

std::array<std::uint64_t, COUNTERS> sums_of(int counters_fd) {
  std::array<std::uint64_t, COUNTERS> sums{};
  for (__u32 i = 0; i < COUNTERS; ++i) {
    for (const __u64 value : read_per_cpu<__u64>(counters_fd, i, "counters")) sums[i] += value;
  }
  return sums;
}

// `root_array` is the path of its pin, because a Katran server may have it elsewhere.
Pins look_at_pins(const fs::path& folder, const fs::path& root_array) {
  Pins pins;
  pins.link_interface = pinned(folder / kLinkPin, interface_of_link);
  pins.slots = pinned(root_array, programs_by_slot);
  pins.settings = first_of<::settings>(folder, "settings");
  pins.gateway = part_of(first_of<::gateway>(folder, "ctl_array"), [](const ::gateway& gateway) {
    return MacAddress(std::to_array(gateway.mac));
  });
  pins.beat_at_ns =
      part_of(first_of<::heartbeat>(folder, "heartbeat"),
              [](const ::heartbeat& beat) -> std::uint64_t { return beat.beat_at_ns; });
  pins.counters = pinned(folder / "counters", sums_of);
  return pins;
}

Daemon look_at_daemon(const fs::path& socket) {
  Daemon daemon;
  try {
    daemon.status = ask(socket, {{"request", "status"}});
    daemon.config_text = look([&] {
      return ask(socket, {{"request", "config"}}).at("text").get<std::string>();
    });
  } catch (const std::system_error& error) {
    daemon.may_not_ask = error.code().value() == EACCES || error.code().value() == EPERM;
    daemon.status = Fact<nlohmann::ordered_json>::missing(error.what());
  } catch (const NoAnswer& error) {
    daemon.does_not_answer = true;
    daemon.status = Fact<nlohmann::ordered_json>::missing(error.what());
  } catch (const std::exception& error) {
    daemon.status = Fact<nlohmann::ordered_json>::missing(error.what());
  }
  return daemon;
}

std::uint32_t ethtool(const std::string& interface, std::uint32_t command) {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_value value{command, 0};
  ifreq request{};
  interface.copy(request.ifr_name, sizeof(request.ifr_name) - 1);
  request.ifr_data = reinterpret_cast<char*>(&value);
  if (ioctl(socket.get(), SIOCETHTOOL, &request) != 0) {
    fail("cannot ask for the offloads of " + interface);
  }
  return value.data;
}

Router look_at_router(unsigned interface_index) {
  Router router;
  for (const Address& gateway : default_gateways(interface_index)) {
    const auto found = find_neighbour(interface_index, gateway);
    if (found || !router.address) router.address = gateway;
    if (!found) continue;
    router.mac = found->mac;
    break;
  }
  return router;
}

std::map<Address, RouteAnswer> look_for_routes(const Config& config) {
  std::map<Address, RouteAnswer> routes;
  for (const Group& group : config.groups) {
    for (const Real& real : group.reals) {
      if (!routes.contains(real.address))
        routes[real.address] = route_to(real.address, std::nullopt);
    }
  }
  return routes;
}

StoreFolder look_at_store(const fs::path& history) {
  StoreFolder store;
  const fs::path folder = history.has_parent_path() ? history.parent_path() : ".";
  struct statvfs status {};
  if (statvfs(folder.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return store;
    fail("cannot look at " + folder.string());
  }
  store.exists = true;
  store.is_read_only = status.f_flag & ST_RDONLY;
  store.free_bytes = static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
  return store;
}

std::uint64_t read_memory_available() {
  const auto available = memory_available();
  if (!available) throw std::runtime_error("/proc/meminfo does not say it");
  return *available;
}

std::optional<Interface> find_interface(const Host& host, const std::string& name) {
  if (!host.interfaces) return std::nullopt;
  for (const Interface& interface : *host.interfaces) {
    if (interface.name == name) return interface;
  }
  return std::nullopt;
}

}  // namespace

LbFacts look_at_lb(const LbPlaces& places) {
  LbFacts facts;
  facts.places = places;
  facts.host = look_at_host();
  facts.has_bpffs = look([&] { return is_bpffs(places.bpffs); });
  facts.memory_available = look(read_memory_available);
  facts.listeners = look(read_listeners);
  facts.now_ns = monotonic_ns();
  facts.now_s = std::time(nullptr);
  const auto start_failure =
      read_start_failure(start_failure_file(places.runtime_dir, places.config));
  facts.daemon.start_failure = start_failure;
  facts.config = look([&] { return load_config(places.config); });
  facts.may_not_read_config = may_not_read(places.config);
  if (!facts.config) {
    facts.daemon.status.why_not = "the configuration does not say which instance to ask";
    return facts;
  }
  const Config& config = *facts.config;
  const std::string instance = places.instance.empty() ? config.lb.instance : places.instance;
  facts.daemon = look_at_daemon(places.runtime_dir / (instance + ".sock"));
  facts.daemon.start_failure = start_failure;
  const fs::path folder = places.bpffs / "remora" / instance;
  const bool is_shared = config.lb.forwarder == ForwarderKind::kKatranShared;
  facts.pins =
      look_at_pins(folder, is_shared ? config.lb.katran_root_array : folder / "root_array");
  facts.has_katran_object = look([&] { return fs::exists(config.lb.katran_object); });
  facts.routes_to_reals = look([&] { return look_for_routes(config); });
  facts.store = look([&] { return look_at_store(config.store.path); });
  facts.interface = find_interface(facts.host, config.lb.interface);
  if (!facts.interface) return facts;
  const unsigned index = facts.interface->index;
  facts.xdp = look([&] { return attached_xdp(index); });
  facts.probe = look([&] { return probe_name(index); });
  facts.router = look([&] { return look_at_router(index); });
  facts.routed_services = look_at_routed_services(
      config, index, facts.router ? facts.router->address : std::optional<Address>());
  const auto reals = facts.daemon.status
                         ? facts.daemon.status->value("reals", nlohmann::ordered_json::array())
                         : nlohmann::ordered_json::array();
  facts.brokers = look([&] { return connect_to_all(brokers_of_router(config, reals)); });
  facts.driver = look([&] { return driver_of(config.lb.interface); });
  facts.xdp_tx_errors = look([&] { return xdp_tx_errors(config.lb.interface); });
  facts.offloads = look([&] {
    return Offloads{.lro = (ethtool(config.lb.interface, ETHTOOL_GFLAGS) & ETH_FLAG_LRO) != 0,
                    .gro = ethtool(config.lb.interface, ETHTOOL_GGRO) != 0};
  });
  return facts;
}

}  // namespace remora::doctor
