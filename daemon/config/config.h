// SPDX-License-Identifier: Apache-2.0
//
// The configuration file as plain values, read and checked as a whole.
//
// Nothing here asks the system, so a file can be checked anywhere and by anyone. The caller finds
// out whether the interface and the memory exist. docs/config.md describes every key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bpf/abi.h"
#include "daemon/base/address.h"
#include "daemon/base/endpoint.h"
#include "daemon/base/prefix.h"
#include "daemon/config/forwarder_kind.h"
#include "daemon/config/problem.h"
#include "daemon/mqtt/route.h"
#include "daemon/ring/maglev.h"

namespace remora {

// Capacities of the tables of fixed size.
inline constexpr std::size_t kMaxServices = 256;
inline constexpr std::size_t kMaxGroups = 512;  // VIPs that Katran's rings are made for
inline constexpr std::size_t kMaxReals = 4095;  // Katran's `reals`, whose index 0 means none
inline constexpr std::size_t kMaxRoutes = 65536;

// Whether connections follow the predictions, or all go to the default group (config/shadow.h).
enum class Mode : std::uint8_t { kActive, kShadow };

enum class XdpMode : std::uint8_t { kNative, kGeneric };

// How to handle a connection whose PUBLISH belongs to another group.
enum class Policy : std::uint8_t {
  kReset = POLICY_RESET,
  kKeep = POLICY_KEEP,
  kDrop = POLICY_DROP,
};

// Whether the connection or only its client chooses the broker of a new connection.
enum class Affinity : std::uint8_t {
  kPerConnection = AFFINITY_CONNECTION,
  kPerClient = AFFINITY_CLIENT,
};

// Where the connections of clients without a prediction go.
enum class UnknownClients : std::uint8_t {
  kDefault = UNKNOWN_TO_DEFAULT,
  kRouter = UNKNOWN_TO_ROUTER,
};

// How the session at the wrong broker ends.
enum class SessionEnd : std::uint8_t {
  kDisconnect,  // good bytes, DISCONNECT, RST, so no Will is published
  kReset,       // only a RST, so the broker publishes the Will
};

// The rows of keys.h describe the keys of these structs. `line` is where an entry begins in the
// file, from 1, for errors that are found later; 0: it is not in the file.

struct Lb {
  std::string interface;
  std::string instance;  // a path component without dots; by default the interface
  Mode mode = Mode::kActive;
  std::optional<MacAddress> gateway_mac;  // no value: that of the default route's gateway
  // Sources of outer headers, so that ICMP errors on the way to a broker come back here. No value:
  // Katran's sources, which are not routed.
  std::optional<Address> outer_source4;
  std::optional<Address> outer_source6;
  XdpMode xdp_mode = XdpMode::kNative;
  ForwarderKind forwarder = ForwarderKind::kEmbedded;
  RingVariant ring = RingVariant::kMaglevV2;
  std::filesystem::path katran_object;      // the operator's balancer.bpf.o, for kKatranObject
  std::filesystem::path katran_root_array;  // the Katran server's pin, for kKatranShared
};

// A service is known by its address and port everywhere; `name` is its label for people, which a
// reload may change.
struct Service {
  std::string name;
  Address address;
  std::uint16_t port = 0;  // host order
  std::string default_group;
  // The longest keepalive, seconds, that its brokers give to MQTT 5 clients; 0: unknown.
  std::uint16_t server_keep_alive = 0;
  UnknownClients unknown_clients = UnknownClients::kRouter;
  std::uint32_t line = 0;

  Endpoint at() const { return Endpoint::at(address, port); }
};

struct Real {
  Address address;
  std::uint32_t weight = 1;
  // The broker's port at its own address, for the router, host order; 0: the service's port.
  std::uint16_t port = 0;
  std::uint32_t line = 0;
};

struct Group {
  std::string name;
  Address vip;  // unspecified: it has none, as the embedded forwarder allows
  std::vector<Real> reals;
  std::optional<Policy> policy;  // overrides that of [mispredict]
  // Where the reals expect a PROXY header from the router, host order; 0: nowhere.
  std::uint16_t proxy_port = 0;
  Affinity affinity = Affinity::kPerConnection;
  std::uint32_t line = 0;
};

struct Mispredict {
  Policy policy = Policy::kReset;
  std::uint32_t resets_per_second = 1000;
  std::uint32_t resets_per_client = 3;  // in RESET_WINDOW_S
  std::uint32_t changes_per_day = 4;    // 0: an address is never kept because of them
  SessionEnd session_end = SessionEnd::kDisconnect;
};

// The client identifier of a routed client's sessions at further brokers.
enum class FurtherSessions : std::uint8_t { kSameId, kSuffixedId };

// Where the router sends SUBSCRIBE.
enum class SubscribeTo : std::uint8_t { kHome, kAll };

// The relay of clients that cannot be predicted (docs/router.md).
struct Router {
  FurtherSessions further_sessions = FurtherSessions::kSameId;
  SubscribeTo subscribe = SubscribeTo::kHome;
  std::uint32_t workers = 1;  // threads of each service
  std::uint32_t connections = 10'000;
  std::uint32_t connections_per_second = 1000;
  std::uint32_t memory_mib = 256;
  std::vector<Address> sources;  // of this host, for sessions at reals; empty: the kernel chooses
};

enum class Farewell : std::uint8_t {
  kOff,    // reset, as after a mispredict
  kMqtt5,  // DISCONNECT with a reason, for a silent MQTT 5 client
};

// How evacuated clients are told to leave.
struct Evacuate {
  Farewell farewell = Farewell::kOff;
  std::uint8_t reason = 0x9c;  // of the DISCONNECT (MQTT 5.0 §3.14.2.1)
};

enum class CheckKind : std::uint8_t {
  kMqtt,  // CONNECT, CONNACK, DISCONNECT
  kTcp,   // a handshake
  kOff,
};

// How reals are checked; packets of a check are encapsulated like those of clients.
struct Health {
  CheckKind check = CheckKind::kMqtt;
  std::uint32_t interval_s = 5;
  std::uint32_t timeout_s = 3;
  std::uint32_t rise = 2;               // successful checks in a row that make a dead real alive
  std::uint32_t fall = 3;               // failed checks in a row that make it dead
  std::string username;                 // empty: no credentials
  std::filesystem::path password_file;  // empty: no password
  std::string client_id = "remora";     // beginning of the client identifiers
  // The private addresses of checks are taken from these.
  Prefix network4 = *Prefix::parse("198.18.0.0/16");  // RFC 2544
  Prefix network6 = *Prefix::parse("fd72:656d:6f72:6100::/64");
};

// The first address of a network is unused, and the second one is the next hop of all others.
inline constexpr std::uint32_t kFirstCheckAddress = 2;

struct Limits {
  std::uint32_t clients = 1'000'000;
  std::uint32_t flows = 1'000'000;
  std::uint32_t half_open = 65'536;
  std::uint32_t topics = 8192;
  std::uint32_t early_segments = 8192;
  std::uint32_t groups = 64;
  std::uint32_t idle_hours = 24;
  std::uint32_t connections_per_client = 1024;
  std::uint32_t events_kib = 8192;  // a power of two
};

struct Store {
  std::filesystem::path path = "/var/lib/remora/history.db";
  std::uint32_t retention_days = 90;
  std::uint32_t max_mib = 2048;
  std::uint32_t events_per_minute = 10;  // of one client
};

struct Config {
  std::string file;  // as the caller named it
  std::string text;  // its content
  Lb lb;
  std::vector<Service> services;
  std::vector<Group> groups;
  std::vector<Route> routes;
  Mispredict mispredict;
  Router router;
  Evacuate evacuate;
  Health health;
  Limits limits;
  Store store;
  std::vector<Problem> warnings;  // unusual, but it works

  // Line of a table, or of a key of a table that occurs once, by their names in keys.h.
  std::map<std::pair<std::string_view, std::string_view>, std::uint32_t> lines;
  // Line of the key, for messages about its value; 0 if it is not in the file.
  std::uint32_t line_of(std::string_view table, std::string_view key = {}) const;
};

// Reads the text of a configuration file. Throws ConfigError if it cannot be read.
std::string read_config_file(const std::filesystem::path& path);

// Reads and checks the file. Throws ConfigError, also if it cannot be read.
Config load_config(const std::filesystem::path& path);

// Checks a text in the same way; `name` stands for the file in messages.
Config parse_config(std::string_view text, std::string_view name);

// Where the router reaches a real of a group, for clients of a service.
Endpoint router_endpoint(const Service& service, const Group& group, const Real& real);

// The policy for PUBLISHes that belong to `group`; in shadow mode that is to keep.
Policy policy_of(const Config& config, const Group& group);
// The same as the file has it.
Policy configured_policy_of(const Config& config, const Group& group);

// Its word in the file, which the history and the status use as well.
std::string_view to_string(Policy policy);

// Its word in the file.
std::string_view to_string(CheckKind kind);

}  // namespace remora
