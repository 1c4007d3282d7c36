// SPDX-License-Identifier: Apache-2.0
//
// mqtt_load: publishes numbered messages from many connections, and counts what arrives.
#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/load/publisher.h"
#include "bench/load/receiver.h"
#include "daemon/base/event_loop.h"

namespace remora::load {
namespace {

Endpoint endpoint_of(const std::string& text) {
  const auto at = Endpoint::parse(text);
  if (!at) throw std::runtime_error(text + " is no ADDRESS:PORT");
  return *at;
}

std::vector<Endpoint> endpoints_of(const std::vector<std::string>& texts) {
  std::vector<Endpoint> endpoints;
  for (const std::string& text : texts) endpoints.push_back(endpoint_of(text));
  return endpoints;
}

struct PublishOptions {
  std::string to;
  std::vector<std::string> sources;
  int version = 4;
  bool in_turn = false;
  bool at_once = false;
  bool when_asked = false;
  Plan plan;
};

void add_publish(CLI::App& app, PublishOptions& options) {
  Plan& plan = options.plan;
  CLI::App& publish = *app.add_subcommand("publish", "Publish, and print the figures as JSON");
  publish.add_option("service", options.to, "ADDRESS:PORT to connect to")->required();
  publish.add_option("--clients", plan.clients, "connections")->capture_default_str();
  publish.add_option("--messages", plan.messages, "of all clients together")->capture_default_str();
  publish.add_option("--per-second", plan.per_second,
                     "of all clients together; 0: as fast as the sockets take");
  publish.add_option("--qos", plan.client.qos)->check(CLI::Range(0, 2));
  publish.add_option("--version", options.version, "of MQTT: 3, 4 (3.1.1) or 5")
      ->check(CLI::IsMember({3, 4, 5}));
  publish.add_option("--size", plan.client.size, "bytes of payload, at least 24")
      ->capture_default_str();
  publish.add_option("--window", plan.client.window, "messages without acknowledgement")
      ->capture_default_str();
  publish.add_option("--topics", plan.client.topics, "one for each client in turn")->delimiter(',');
  publish.add_flag("--in-turn", options.in_turn, "each client publishes to all topics in turn");
  publish.add_flag("--at-once", options.at_once,
                   "begin with the first SYN, not when all have their CONNACKs");
  CLI::Option* asked = publish.add_flag("--when-asked", options.when_asked,
                                        "print \"connected\", and begin after a line of input");
  publish.add_option("--first", plan.first, "messages before \"connected\"")->needs(asked);
  publish.add_option("--prefix", plan.client.prefix, "of client identifiers");
  publish.add_option("--sources", options.sources, "addresses of this host to connect from")
      ->delimiter(',');
}

void publish(PublishOptions& options) {
  Plan& plan = options.plan;
  plan.to = endpoint_of(options.to);
  plan.client.version = static_cast<mqtt::Version>(options.version);
  if (options.at_once) plan.begins = Plan::Begins::kAtOnce;
  if (options.when_asked) plan.begins = Plan::Begins::kAsked;
  if (options.in_turn) plan.topics = Plan::Topics::kInTurn;
  for (const std::string& source : options.sources) {
    const auto address = Address::parse(source);
    if (!address) throw std::runtime_error(source + " is no address");
    plan.sources.push_back(*address);
  }
  Publisher publisher(plan);
  publisher.run();
  std::cout << publisher.summary() << std::endl;
}

int run(int argc, char** argv) {
  CLI::App app("Publishes numbered MQTT messages from many connections, or counts what arrives.");
  app.require_subcommand(1);
  PublishOptions options;
  std::vector<std::string> places;
  add_publish(app, options);
  CLI::App& count = *app.add_subcommand(
      "count", "Subscribe to everything at these brokers, and answer each line with the counts");
  count.add_option("brokers", places, "ADDRESS:PORT")->required();
  CLI::App& serve = *app.add_subcommand("serve", "Likewise, in place of brokers");
  serve.add_option("places", places, "ADDRESS:PORT")->required();
  CLI11_PARSE(app, argc, argv);

  if (!count.parsed() && !serve.parsed()) {
    publish(options);
    return 0;
  }
  Receiver receiver;
  count.parsed() ? receiver.subscribe(endpoints_of(places)) : receiver.listen(endpoints_of(places));
  receiver.run();
  return 0;
}

}  // namespace
}  // namespace remora::load

int main(int argc, char** argv) {
  try {
    return remora::load::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "mqtt_load: " << error.what() << '\n';
    return 1;
  }
}
