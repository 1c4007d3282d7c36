// SPDX-License-Identifier: Apache-2.0
#include "tests/xdp/steer_fixture.h"

#include <cstring>
#include <stdexcept>

#include "bpf/lesson.h"
#include "bpf/topic.h"
#include "tests/support/topics.h"

namespace remora {
namespace {

constexpr std::uint32_t kRealsOfAGroup = 16;

}  // namespace

bool Outcome::forwarded() const {
  return verdict == XDP_TX && packet.is_encapsulated();
}

bool Outcome::is_rst() const {
  return verdict == XDP_TX && packet.protocol() == IPPROTO_TCP && packet.tcp().rst;
}

struct mark Outcome::mark() const {
  struct mark mark;
  if (metadata.size() != sizeof(mark)) throw std::out_of_range("no mark in front of the frame");
  std::memcpy(&mark, metadata.data(), sizeof(mark));
  return mark;
}

void SteerTest::SetUp() {
  if (!may_load_bpf()) GTEST_SKIP() << "loads BPF programs: needs root";
  chain_ = std::make_unique<Chain>(limits_);

  keys_ = random_topic_keys(1);
  chain_->map<std::uint32_t, topic_keys>("topic_keys").put(0, keys_);
  chain_->map<std::uint32_t, gateway>("ctl_array")
      .put(0, {{kRouterMac[0], kRouterMac[1], kRouterMac[2], kRouterMac[3], kRouterMac[4],
                kRouterMac[5]},
               {}});

  settings settings{};
  settings.generation = 1;
  settings.resets_per_second = 1000;
  settings.resets_per_client = 3;
  settings.connections_per_client = 1024;
  settings.link_mtu = kLinkMtu;
  write(settings);

  service(kService, kServiceNumber, kDefault);
  service(kService6, kServiceNumber, kDefault);
  for (const std::uint16_t number : {kDefault, kTemperature, kHumidity}) group(number);
  route(kTemperatureTopic, kTemperature);
  route(kHumidityTopic, kHumidity);
}

void SteerTest::service(Peer at, std::uint16_t number, std::uint16_t default_group) {
  const service_key key{abi_address(at.address), htobe16(at.port), 0};
  chain_->map<service_key, struct service>("services")
      .put(key, {number, default_group, UNKNOWN_TO_DEFAULT, 0});
}

std::uint32_t SteerTest::real_index(std::uint16_t group, std::uint32_t real) {
  return group * kRealsOfAGroup + real;
}

void SteerTest::group(std::uint16_t number, std::uint32_t reals, policy policy) {
  struct group entry {};
  entry.vip = abi_address(ipv4("10.1.50.201") + number);
  entry.vip_num = number;
  entry.policy = static_cast<__u8>(policy);
  entry.in_use = 1;
  chain_->map<std::uint32_t, struct group>("groups").put(number, entry);

  std::vector<std::uint32_t> slots(RING_SIZE);
  for (std::uint32_t slot = 0; slot < slots.size(); slot++)
    slots[slot] = reals == 0 ? 0 : slot % reals + 1;
  ring(number, slots);
  for (std::uint32_t n = 1; n <= reals; n++) {
    struct real real {};
    const std::uint32_t host = number * 256u + n;
    if (ipv6_reals_) {
      const IpAddress::Raw raw = (ipv6("fd00:2::") + host).raw();
      std::memcpy(real.address, raw.data(), raw.size());
      real.flags = REAL_IPV6;
    } else {
      real.address[0] = htobe32(ipv4("10.2.0.0") + host);
    }
    chain_->map<std::uint32_t, struct real>("reals").put(real_index(number, n), real);
  }
}

void SteerTest::client_affinity(std::uint16_t group) {
  const auto map = chain_->map<std::uint32_t, struct group>("groups");
  auto entry = map.find(group).value();
  entry.affinity = AFFINITY_CLIENT;
  map.put(group, entry);
}

void SteerTest::ipv4_reals() {
  ipv6_reals_ = false;
  rebuild_groups();
}

void SteerTest::ipv6_reals() {
  ipv6_reals_ = true;
  rebuild_groups();
}

void SteerTest::rebuild_groups() {
  for (const std::uint16_t number : {kDefault, kTemperature, kHumidity}) group(number);
}

void SteerTest::ring(std::uint16_t group, const std::vector<std::uint32_t>& reals_of_slots) {
  std::vector<std::uint32_t> slots = reals_of_slots;
  for (std::uint32_t& slot : slots)
    if (slot != 0) slot = real_index(group, slot);
  chain_->set_ring(group, slots);
}

void SteerTest::route(std::string_view filter, std::uint16_t group) {
  const auto map = chain_->map<std::uint64_t, struct route>("routes");
  routes_.push_back({std::string(filter), std::to_string(group), 0});
  for (const std::uint64_t key : written_) map.remove(key);
  written_.clear();
  const RouteTable table(routes_, keys_);
  for (const RouteTable::KernelRoute& route : table.kernel_routes()) {
    const std::uint64_t key = route_key(route.hash, settings_.generation, route.shape);
    const auto number = static_cast<__u16>(std::stoul(std::string(route.group)));
    map.put(key, {settings_.generation, number, 0});
    written_.push_back(key);
  }
  chain_->map<std::uint32_t, shape_set>("shape_sets").put(settings_.generation % 2, table.shapes());
}

void SteerTest::forget_routes() {
  routes_.clear();
  written_.clear();
  settings_.generation++;
  chain_->map<std::uint32_t, shape_set>("shape_sets").put(settings_.generation % 2, {});
  write(settings_);
}

void SteerTest::predict(Peer client, std::uint16_t group, std::string_view topic) {
  const client_key key{abi_address(client.address), kServiceNumber, 0};
  const std::uint64_t topic_hash = topic.empty() ? 0 : hash(topic);
  chain_->clients().put(key, {topic_hash, 1, group, PREDICTION_TOLD});
}

void SteerTest::write(const settings& settings) {
  settings_ = settings;
  chain_->map<std::uint32_t, struct settings>("settings").put(0, settings);
}

Outcome SteerTest::send(const Segment& segment) {
  return send_frame(segment.frame());
}

Outcome SteerTest::send_frame(const Bytes& frame) {
  RunResult result = run_xdp(chain_->root_fd(), frame);
  return {static_cast<xdp_action>(result.verdict), std::move(result.metadata),
          Packet(std::move(result.frame))};
}

Client SteerTest::connect(Peer from, std::uint32_t isn, MqttVersion version) {
  return open(Client(from, service_for(from), isn), version);
}

Client SteerTest::open(Client client, MqttVersion version) {
  send(client.syn());
  send(client.ack());
  send(client.send(connect_packet(version)));
  return client;
}

Client SteerTest::connect_and_answer(Peer from, std::uint32_t isn) {
  Client client(from, service_for(from), isn);
  EXPECT_TRUE(send_syn_and_answer(client).forwarded());
  send(client.ack());
  send(client.send(connect_packet()));
  return client;
}

Outcome SteerTest::send_syn_and_answer(const Client& client) {
  Outcome out = send(client.syn());
  if (!is_question(out)) return out;
  EXPECT_TRUE(send(answer_to(client, out)).dropped());
  return send(client.syn());
}

bool SteerTest::is_question(const Outcome& out) {
  return out.verdict == XDP_TX && out.packet.protocol() == IPPROTO_TCP && out.packet.tcp().syn &&
         out.packet.tcp().ack;
}

Segment SteerTest::answer_to(const Client& client, const Outcome& question) {
  return client.rst().seq(be32toh(question.packet.tcp().ack_seq));
}

Outcome SteerTest::publish(Client& client, std::string_view topic, std::string_view message) {
  return send(client.send(publish_packet(topic, message)));
}

std::uint64_t SteerTest::hash(std::string_view topic) const {
  std::vector<__u64> words(topic.size() / 8 + 1);
  std::memcpy(words.data(), topic.data(), topic.size());
  return topic_hash(&keys_, words.data(), static_cast<std::uint32_t>(topic.size()));
}

flow_key SteerTest::key_of(const Client& client) {
  return {abi_address(client.self().address), htobe16(client.self().port), kServiceNumber};
}

std::optional<flow> SteerTest::flow_of(const Client& client) const {
  return chain_->flows().find(key_of(client));
}

std::optional<flow> SteerTest::half_open_of(const Client& client) const {
  return chain_->half_open().find({key_of(client), client.isn()});
}

std::optional<prediction> SteerTest::prediction_of(Peer client) const {
  return chain_->clients().find({abi_address(client.address), kServiceNumber, 0});
}

std::optional<struct client> SteerTest::counts_of(Peer client) const {
  return chain_->clients().entry({abi_address(client.address), kServiceNumber, 0});
}

address SteerTest::abi_address(const IpAddress& ip) {
  address out;
  std::memcpy(&out, ip.raw().data(), sizeof(out));
  return out;
}

}  // namespace remora
