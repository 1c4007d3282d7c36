// SPDX-License-Identifier: Apache-2.0
//
// The facts that the checks of an LB host judge, and the function that collects them.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bpf/abi.h"
#include "cli/doctor/facts.h"
#include "cli/doctor/lb_router_facts.h"
#include "daemon/config/config.h"
#include "daemon/protocol/start_failure.h"

namespace remora::doctor {

struct LbPlaces {
  std::filesystem::path config = "/etc/remora/remora.toml";
  std::filesystem::path runtime_dir = "/run/remora";
  std::filesystem::path bpffs = "/sys/fs/bpf";
  std::string instance;  // empty: that of the configuration
};

// The pins of an instance. A fact whose value is empty: there is no such pin.
struct Pins {
  Fact<std::optional<unsigned>> link_interface;  // 0: the link does not hold a program any more
  Fact<std::optional<std::map<std::uint32_t, std::string>>> slots;  // names of the programs
  Fact<std::optional<::settings>> settings;
  Fact<std::optional<MacAddress>> gateway;        // all zero: not known yet
  Fact<std::optional<std::uint64_t>> beat_at_ns;  // 0: the daemon was stopped
  Fact<std::optional<std::array<std::uint64_t, COUNTERS>>> counters;
};

struct Daemon {
  // Answer of the control socket; no value if it refused or nobody answers.
  Fact<nlohmann::ordered_json> status;
  bool may_not_ask = false;      // no permission, so it is unknown whether remorad runs
  bool does_not_answer = false;  // remorad is there
  Fact<std::string> config_text;
  std::optional<StartFailure> start_failure;  // of the last start, if it failed
};

struct Offloads {
  bool lro = false;
  bool gro = false;
};

struct Router {
  std::optional<Address> address;  // gateway of the default route through the interface
  std::optional<MacAddress> mac;
};

struct StoreFolder {
  bool exists = false;
  bool is_read_only = false;
  std::uint64_t free_bytes = 0;
};

struct LbFacts {
  LbPlaces places;
  Host host;
  Fact<bool> has_bpffs;
  Fact<Config> config;
  bool may_not_read_config = false;
  // Interface of the configuration. Without a configuration the facts below are unknown.
  std::optional<Interface> interface;
  Fact<AttachedXdp> xdp;
  Fact<std::string> probe;  // as probe_name()
  Pins pins;
  Fact<bool> has_katran_object;  // the file of [lb] katran_object
  Daemon daemon;
  Fact<Offloads> offloads;
  Fact<std::string> driver;
  // Frames that the driver could not send for XDP_TX, by the names of its counters.
  Fact<std::map<std::string, std::uint64_t>> xdp_tx_errors;
  Fact<Router> router;
  Fact<std::map<Address, RouteAnswer>> routes_to_reals;
  Fact<std::vector<Listener>> listeners;
  std::vector<RoutedService> routed_services;
  Fact<std::map<Endpoint, int>> brokers;  // of the router: whether they can be reached, or errno
  Fact<StoreFolder> store;
  Fact<std::uint64_t> memory_available;  // bytes
  std::uint64_t now_ns = 0;              // CLOCK_MONOTONIC
  std::int64_t now_s = 0;                // CLOCK_REALTIME
};

LbFacts look_at_lb(const LbPlaces& places);

}  // namespace remora::doctor
