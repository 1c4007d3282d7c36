// SPDX-License-Identifier: Apache-2.0
//
// /etc/remora/decap.toml: the services of a broker, the load balancers' networks, and the
// VIPs that become services.
//
// Pure, and read like daemon/config/config.h: a file is accepted as a whole or not at all, and
// all its mistakes are reported at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "cli/service_at.h"
#include "daemon/base/address.h"
#include "daemon/base/prefix.h"
#include "daemon/config/config.h"
#include "daemon/config/keys.h"

namespace remora {

struct DecapVip {
  Address vip;
  Address service;         // of the VIP's address family
  std::uint16_t port = 0;  // port of the service, host order; 0: any
};

struct DecapConfig {
  std::string interface;  // empty: the command line names it
  XdpMode xdp_mode = XdpMode::kNative;
  // Only packets to these services pass: the entries of [[service]], and those of [[vip]] that
  // name a port. Sorted, each once, with a port.
  std::vector<ServiceAt> services;
  std::vector<Prefix> from;  // networks of outer sources; empty: any source
  std::vector<DecapVip> vips;
};

// The keys of decap.toml.
const Keys& decap_keys();

// Throws ConfigError, also when the file cannot be read.
DecapConfig load_decap_config(const std::filesystem::path& path);

// Parses a text in the same way; `name` stands for the file in messages.
DecapConfig parse_decap_config(std::string_view text, std::string_view name);

// Adds a service, unless it is there already.
void add_service(std::vector<ServiceAt>& services, const ServiceAt& service);

}  // namespace remora
