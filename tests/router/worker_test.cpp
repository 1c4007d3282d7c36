// SPDX-License-Identifier: Apache-2.0
//
// A worker of the router with real sockets, between clients and fake brokers on the loopback
// device.
#include "daemon/router/worker.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "tests/router/loopback_broker.h"
#include "tests/router/world.h"

namespace remora {
namespace {

constexpr int kConnack = 2;

// Waits until a fact holds. The deadline is for a test that hangs.
template <class Fact>
bool becomes_true(const Fact& fact) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!fact()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

class Client {
 public:
  explicit Client(const Endpoint& to) : socket_(connect_to(to)) {}

  void send(const Bytes& bytes) {
    for (std::size_t sent = 0; sent < bytes.size();) {
      const ssize_t count =
          ::send(socket_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      ASSERT_GT(count, 0);
      sent += static_cast<std::size_t>(count);
    }
  }
  // Sends as much as the socket takes without waiting, and returns how much that was.
  std::size_t try_to_send(const Bytes& bytes) {
    const ssize_t count =
        ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return count < 0 ? 0 : static_cast<std::size_t>(count);
  }
  // Waits for the next packet. Its type is 0 when the connection has ended.
  PlainPacket next() {
    while (packets_.empty()) {
      Bytes buffer(4096);
      const ssize_t count = ::read(socket_.get(), buffer.data(), buffer.size());
      if (count <= 0) return {};
      buffer.resize(static_cast<std::size_t>(count));
      unread_ = unread_ + buffer;
      packets_ = take_packets(unread_);
    }
    PlainPacket first = packets_.front();
    packets_.erase(packets_.begin());
    return first;
  }
  void connect() {
    send(connect_packet());
    ASSERT_EQ(next().type, kConnack);
  }
  void close() { socket_ = Fd(); }

 private:
  Fd socket_;
  Bytes unread_;
  std::vector<PlainPacket> packets_;
};

class WorkerTest : public testing::Test {
 protected:
  static constexpr std::size_t kGroups = 3;

  WorkerTest() {
    router::Surroundings surroundings{
        .routing = {.default_group = 0,
                    .groups = {0, 1, 2},
                    .group_of = group_of_topic,
                    .home_of = [](std::string_view) { return std::nullopt; },
                    .name_of = [](router::GroupId) { return "g"; }},
        .real_for = [this](const router::OpenSession& attempt,
                           const Address&) { return real_for(attempt); },
        .on_lesson =
            [this](const Address& client, const router::Learn& lesson) {
              const std::lock_guard lock(mutex_);
              EXPECT_EQ(client, *Address::parse("127.0.0.1"));
              lessons_.push_back(lesson.topic);
            },
        .on_home = [](const Address&, const router::RememberHome&) {},
        .on_other_protocol = [](const Address&) {}};
    Fd listener = loopback_listener();
    service = endpoint_of(listener);
    worker = std::make_unique<router::Worker>(std::move(listener), router::Options{},
                                              std::move(surroundings), limits);
  }

  // Each group has two brokers, and attempts alternate between them.
  LoopbackBroker& broker(router::GroupId group, std::size_t number = 0) {
    return brokers_[group * 2 + number];
  }
  std::optional<router::Approach> real_for(const router::OpenSession& attempt) {
    if (is_first_gone && attempt.attempt == 0) {
      // Nobody listens there.
      return router::Approach{Endpoint::at(*Address::parse("127.0.0.1"), 1)};
    }
    return router::Approach{broker(attempt.group, attempt.attempt % 2).endpoint()};
  }
  std::vector<std::string> lessons() {
    const std::lock_guard lock(mutex_);
    return lessons_;
  }

  router::WorkerLimits limits;
  std::atomic<bool> is_first_gone = false;
  Endpoint service{};
  std::unique_ptr<router::Worker> worker;  // ends before the brokers

 private:
  std::mutex mutex_;
  std::vector<std::string> lessons_;
  std::array<LoopbackBroker, kGroups * 2> brokers_;
};

TEST_F(WorkerTest, MessagesGoToTheirGroupsAndAreAcknowledged) {
  Client client(service);
  client.connect();
  client.send(publish_packet("g1/t", "1", {.qos = 1, .packet_id = 1}) +
              publish_packet("g2/t", "2", {.qos = 2, .packet_id = 2}) +
              publish_packet("g0/t", "3"));
  EXPECT_EQ(client.next().bytes, broker_ack(kPuback, 1));
  EXPECT_EQ(client.next().bytes, broker_ack(kPubrec, 2));
  client.send(pubrel_packet(2));
  EXPECT_EQ(client.next().bytes, broker_ack(kPubcomp, 2));
  client.send(disconnect_packet());
  EXPECT_EQ(client.next().type, 0);

  ASSERT_TRUE(becomes_true([&] { return broker(0).messages().size() == 1; }));
  EXPECT_EQ(broker(1).messages().size(), 1U);
  EXPECT_EQ(broker(2).messages().size(), 1U);
  EXPECT_TRUE(becomes_true([&] { return worker->connections() == 0; }));
  EXPECT_EQ(lessons(), (std::vector<std::string>{"g1/t", "g2/t", "g0/t"}));
}

TEST_F(WorkerTest, NothingIsLostWhenTheClientClosesAtOnce) {
  Client client(service);
  Bytes stream = connect_packet();
  for (int i = 0; i < 300; ++i) {
    stream = stream + publish_packet("g" + std::to_string(i % 3) + "/t", std::to_string(i));
  }
  client.send(stream + disconnect_packet());
  client.close();

  for (const router::GroupId group : {0U, 1U, 2U}) {
    EXPECT_TRUE(becomes_true([&] { return broker(group).messages().size() == 100; }));
    EXPECT_TRUE(becomes_true([&] { return broker(group).disconnects() == 1; }));
  }
}

TEST_F(WorkerTest, BigMessagesAreWhole) {
  Client client(service);
  client.connect();
  const std::string big(3'000'000, 'x');
  client.send(publish_packet("g1/t", big) +
              publish_packet("g2/t", big, {.qos = 1, .packet_id = 7}));
  EXPECT_EQ(client.next().bytes, broker_ack(kPuback, 7));

  ASSERT_TRUE(becomes_true([&] { return broker(1).messages().size() == 1; }));
  EXPECT_EQ(broker(1).messages()[0].message, big);
  EXPECT_EQ(broker(2).messages()[0].message, big);
}

TEST_F(WorkerTest, ASlowBrokerStallsOnlyItsClients) {
  Client slow(service);
  slow.connect();
  slow.send(publish_packet("g1/t", "first"));
  ASSERT_TRUE(becomes_true([&] { return broker(1).messages().size() == 1; }));
  broker(1).reads = false;
  const Bytes packet = publish_packet("g1/t", std::string(100'000, 'x'));
  std::size_t sent = 0;
  std::size_t misses = 0;
  Bytes rest;
  while (misses < 100'000) {
    if (rest.empty()) rest = packet;
    const std::size_t count = slow.try_to_send(rest);
    rest.erase(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(count));
    sent += count;
    misses = count == 0 ? misses + 1 : 0;
  }
  EXPECT_LT(sent, 100'000'000U);

  Client other(service);
  other.connect();
  other.send(publish_packet("g2/t", "m", {.qos = 1, .packet_id = 1}));
  EXPECT_EQ(other.next().type, kPuback);

  broker(1).reads = true;
  slow.send(rest);
  const std::size_t expected = 1 + (sent + rest.size()) / packet.size();
  EXPECT_TRUE(becomes_true([&] { return broker(1).messages().size() == expected; }));
}

TEST_F(WorkerTest, AnotherRealTakesOverWhenOneIsGone) {
  is_first_gone = true;
  Client client(service);
  client.connect();
  client.send(publish_packet("g1/t", "m", {.qos = 1, .packet_id = 1}));
  EXPECT_EQ(client.next().type, kPuback);
  EXPECT_EQ(broker(1, 0).connections(), 0U);
  EXPECT_EQ(broker(1, 1).messages().size(), 1U);
}

TEST_F(WorkerTest, ABrokerThatDiesIsNotNoticed) {
  broker(1, 0).dies_at = 5;
  Client client(service);
  client.connect();
  std::vector<std::string> texts;
  for (std::uint16_t id = 1; id <= 20; ++id) {
    texts.push_back(std::to_string(id));
    client.send(publish_packet("g1/t", texts.back(), {.qos = 1, .packet_id = id}));
  }
  for (std::uint16_t id = 1; id <= 20; ++id)
    EXPECT_EQ(client.next().bytes, broker_ack(kPuback, id));

  // The first broker has all messages that it acknowledged, and the second one the others.
  std::vector<std::string> got;
  for (const std::size_t number : {0U, 1U}) {
    for (const PlainPublish& message : broker(1, number).messages()) {
      if (std::ranges::count(got, message.message) == 0) got.push_back(message.message);
    }
  }
  EXPECT_EQ(got, texts);
  EXPECT_GE(broker(1, 1).messages().size(), 15U);
}

TEST_F(WorkerTest, ManyClientsAtOnce) {
  constexpr std::size_t kClients = 300;
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<Client>(service));
    clients.back()->send(connect_packet(MqttVersion::k311, "c" + std::to_string(i)));
  }
  for (auto& client : clients) {
    EXPECT_EQ(client->next().type, kConnack);
    client->send(publish_packet("g1/t", "1", {.qos = 1, .packet_id = 1}) +
                 publish_packet("g2/t", "2", {.qos = 1, .packet_id = 2}));
  }
  for (auto& client : clients) {
    EXPECT_EQ(client->next().bytes, broker_ack(kPuback, 1));
    EXPECT_EQ(client->next().bytes, broker_ack(kPuback, 2));
  }
  EXPECT_EQ(worker->connections(), kClients);
  EXPECT_EQ(broker(1).messages().size(), kClients);
  EXPECT_EQ(broker(2).messages().size(), kClients);
}

TEST_F(WorkerTest, OtherProtocolsPass) {
  Client client(service);
  client.send(bytes_of("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_TRUE(becomes_true([&] { return broker(0).connections() == 1; }));
  client.close();
  EXPECT_TRUE(becomes_true([&] { return worker->connections() == 0; }));
}

TEST_F(WorkerTest, ItStopsWithConnectionsOpen) {
  Client client(service);
  client.connect();
  worker.reset();
  EXPECT_EQ(client.next().type, 0);
}

}  // namespace
}  // namespace remora
