// SPDX-License-Identifier: Apache-2.0
//
// Searches for the packets that keep the packet path busy for longest, and prints them: the dearest
// single packets, and the connections whose packets are dearest on average.
//
// It begins with random recipes and goes on with variants of the dearest ones. Each recipe is
// played several times, and the shortest time of each packet counts: this excludes other work on
// the machine.
#include <bpf/bpf.h>
#include <sched.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <numeric>
#include <stdexcept>
#include <system_error>

#include "bench/recipe.h"
#include "bpf/topic.h"
#include "daemon/mqtt/route_table.h"
#include "tests/support/chain.h"
#include "tests/support/mqtt_packets.h"
#include "tests/support/topics.h"

namespace remora::bench {
namespace {

constexpr Peer kService{ipv4("10.1.50.200"), 1883};
constexpr std::uint32_t kFirstClient = ipv4("10.3.0.1");
constexpr std::uint32_t kGroup = 0, kOtherGroup = 1;

address abi_address(const IpAddress& ip) {
  address out;
  std::memcpy(&out, ip.raw().data(), sizeof out);
  return out;
}

// The largest number of shapes. All fit a topic that begins with six slashes, and all but the first
// of its levels are those of the filters, so none matches but each must be looked up.
std::vector<Route> dear_routes() {
  std::vector<Route> routes;
  for (unsigned plus = 0; plus < MAX_SHAPES - 1; plus++) {
    std::string filter = "nowhere/";
    for (unsigned i = 0; i < 6; i++) filter += (plus >> i & 1U) != 0 ? "+/" : "/";
    routes.push_back({filter + "#", std::to_string(kOtherGroup), 0});
  }
  return routes;
}

// A service with one group, whose routes match no topic of the search.
class World {
 public:
  World() : chain_(limits()) {
    const topic_keys keys = random_topic_keys(1);
    chain_.map<std::uint32_t, topic_keys>("topic_keys").put(0, keys);
    chain_.map<std::uint32_t, gateway>("ctl_array").put(0, {{2, 0, 0, 0, 0, 2}, {}});
    settings settings{};
    settings.generation = 1;
    settings.resets_per_second = 1000;
    settings.resets_per_client = 3;
    settings.changes_per_day = 4;
    settings.connections_per_client = 1024;
    settings.link_mtu = 9000;
    chain_.map<std::uint32_t, struct settings>("settings").put(0, settings);
    chain_.map<service_key, service>("services")
        .put({abi_address(kService.address), htobe16(kService.port), 0}, {1, kGroup, 0});
    for (const std::uint32_t number : {kGroup, kOtherGroup}) {
      group group{};
      group.vip = abi_address(ipv4("10.1.50.201") + number);
      group.vip_num = number;
      group.policy = POLICY_RESET;
      group.in_use = 1;
      chain_.map<std::uint32_t, struct group>("groups").put(number, group);
      chain_.set_ring(number, std::vector<std::uint32_t>(RING_SIZE, number + 1));
      real real{};
      real.address[0] = htobe32(ipv4("10.2.0.1") + number);
      chain_.map<std::uint32_t, struct real>("reals").put(number + 1, real);
    }
    const RouteTable table(dear_routes(), keys);
    for (const RouteTable::KernelRoute& route : table.kernel_routes())
      chain_.map<std::uint64_t, struct route>("routes").put(route_key(route.hash, 1, route.shape),
                                                            {1, kOtherGroup, 0});
    chain_.map<std::uint32_t, shape_set>("shape_sets").put(1, table.shapes());
  }

  // Nanoseconds that the path takes for each segment of a new connection.
  std::vector<std::uint32_t> play(const Recipe& recipe) {
    clients_++;
    Client client({kFirstClient + clients_, 40'000}, kService, clients_ * 7919);
    run(client.syn());
    run(client.ack());
    run(client.send(connect_packet(recipe.mqtt5 ? MqttVersion::k5 : MqttVersion::k311)));
    std::vector<std::uint32_t> times;
    for (const Segment& segment : segments_of(recipe, client)) {
      times.push_back(run(segment));
      if (times.size() % 8 == 0) chain_.take_events();
    }
    chain_.take_events();
    return times;
  }

 private:
  static ChainLimits limits() {
    ChainLimits limits;
    limits.flows = 1 << 20;
    limits.half_open = 1 << 16;
    limits.clients = 1 << 20;
    limits.topics = 4096;
    limits.early_segments = 8192;
    limits.event_bytes = 1 << 22;
    return limits;
  }

  std::uint32_t run(const Segment& segment) {
    Bytes frame = segment.frame(), out(4096);
    DECLARE_LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = frame.data();
    options.data_size_in = static_cast<std::uint32_t>(frame.size());
    options.data_out = out.data();
    options.data_size_out = static_cast<std::uint32_t>(out.size());
    options.repeat = 1;
    const int error = bpf_prog_test_run_opts(chain_.root_fd(), &options);
    if (error != 0) throw std::system_error(-error, std::generic_category(), "run the path");
    return options.duration;
  }

  Chain chain_;
  std::uint32_t clients_ = 0;
};

struct Found {
  Recipe recipe;
  double dearest_us = 0;  // time of its dearest packet
  std::size_t at = 0;     // number of that packet, from 0
  std::size_t packets = 0;
  double mean_us = 0;
};

Found measure(World& world, const Recipe& recipe, unsigned rounds) {
  std::vector<std::uint32_t> best = world.play(recipe);
  for (unsigned round = 1; round < rounds; round++) {
    const std::vector<std::uint32_t> times = world.play(recipe);
    for (std::size_t i = 0; i < best.size(); i++) best[i] = std::min(best[i], times[i]);
  }
  const auto dearest = std::ranges::max_element(best);
  const double sum = std::accumulate(best.begin(), best.end(), 0.0);
  return {recipe, *dearest / 1e3, static_cast<std::size_t>(dearest - best.begin()), best.size(),
          sum / 1e3 / static_cast<double>(best.size())};
}

// The dearest recipes by one figure, with at most `kOfEach` of each order of arrival, so that the
// search does not stay with one kind.
class Table {
 public:
  explicit Table(double Found::*figure) : figure_(figure) {}

  void add(const Found& found) {
    const auto same = std::ranges::find(rows_, found.recipe, &Found::recipe);
    if (same != rows_.end()) return;
    rows_.push_back(found);
    std::ranges::sort(rows_, std::ranges::greater{}, figure_);
    std::map<Order, unsigned> seen;
    std::erase_if(rows_, [&](const Found& row) { return ++seen[row.recipe.order] > kOfEach; });
  }
  const std::vector<Found>& rows() const { return rows_; }
  double figure(const Found& found) const { return found.*figure_; }

 private:
  static constexpr unsigned kOfEach = 4;
  double Found::*figure_;
  std::vector<Found> rows_;
};

void print(const char* title, const Table& table, unsigned rows) {
  std::printf("%s\n", title);
  for (const Found& found : table.rows()) {
    if (rows-- == 0) break;
    std::printf("%9.1f  %s", table.figure(found), to_string(found.recipe).c_str());
    std::printf(" (packet %zu of %zu, mean %.1f)\n", found.at + 1, found.packets, found.mean_us);
  }
}

void stay_on_this_cpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(sched_getcpu()), &set);
  sched_setaffinity(0, sizeof set, &set);
}

int run(int argc, char** argv) {
  CLI::App app("Searches for the dearest packets of Remora's packet path");
  unsigned seconds = 60, seed = 1, rows = 12;
  app.add_option("--seconds", seconds, "How long to search")->capture_default_str();
  app.add_option("--seed", seed, "Of the random recipes")->capture_default_str();
  app.add_option("--rows", rows, "How many to print")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (geteuid() != 0) throw std::runtime_error("loading BPF programs needs root");

  stay_on_this_cpu();
  World world;
  Table packets(&Found::dearest_us), flows(&Found::mean_us);
  std::mt19937 random(seed);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  unsigned tried = 0;
  while (std::chrono::steady_clock::now() < end) {
    const Table& table = random() % 2 == 0 ? packets : flows;
    const bool is_new = table.rows().empty() || random() % 3 == 0;
    const Recipe recipe =
        is_new ? random_recipe(random)
               : variant_of(table.rows()[random() % table.rows().size()].recipe, random);
    Found found = measure(world, recipe, 2);
    // Measure again before a disturbed packet is taken for a dear one.
    if (found.dearest_us > 20) found = measure(world, recipe, 4);
    if (found.dearest_us > 40) found = measure(world, recipe, 12);
    packets.add(found);
    if (found.packets >= 100) flows.add(found);
    tried++;
  }
  std::printf("%u recipes tried, seed %u\n\n", tried, seed);
  print("us for the dearest packet", packets, rows);
  print("\nus for a packet on average, in connections of 100 and more", flows, rows);
  return 0;
}

}  // namespace
}  // namespace remora::bench

int main(int argc, char** argv) {
  try {
    return remora::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "dearest: " << error.what() << '\n';
    return 1;
  }
}
