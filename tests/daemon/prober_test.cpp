// SPDX-License-Identifier: Apache-2.0
//
// Health checks of a server on the loopback interface that follows the test's script.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "bpf/parse.h"
#include "daemon/base/event_loop.h"
#include "daemon/base/socket_address.h"
#include "daemon/health/mqtt_prober.h"
#include "daemon/health/tcp_prober.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 60s;  // for what hangs

int require(int result) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), "socket");
  return result;
}

// Answers one connection on a thread of its own.
class Server {
 public:
  using Script = std::function<void(int socket)>;

  explicit Server(Script script = {}) : listener_(require(::socket(AF_INET, SOCK_STREAM, 0))) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* any = reinterpret_cast<sockaddr*>(&address);
    require(bind(listener_.get(), any, size));
    require(listen(listener_.get(), 8));
    require(getsockname(listener_.get(), any, &size));
    endpoint_ = {Address::from_ipv4(address.sin_addr.s_addr), address.sin_port};
    if (!script) return;
    thread_ = std::thread([this, script = std::move(script)] {
      while (const Fd socket{accept(listener_.get(), nullptr, nullptr)}) {
        char first;
        if (recv(socket.get(), &first, 1, MSG_PEEK) <= 0) continue;  // a handshake alone
        script(socket.get());
        return;
      }
    });
  }

  ~Server() {
    shutdown(listener_.get(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
  }

  const Endpoint& endpoint() const { return endpoint_; }
  // Returns when the script has ended.
  void wait() { thread_.join(); }

 private:
  Fd listener_;
  Endpoint endpoint_{};
  std::thread thread_;
};

// The next bytes; empty at the end.
std::string read_some(int socket) {
  char bytes[4096];
  const ssize_t size = recv(socket, bytes, sizeof(bytes), 0);
  return {bytes, size > 0 ? static_cast<std::size_t>(size) : 0};
}

void write_all(int socket, std::string_view bytes) {
  require(static_cast<int>(send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL)));
}

template <class AProber>
class Checks {
 public:
  Checks()
      : prober_(
            loop_,
            [this](std::uint64_t id, CheckResult result) {
              results_.emplace_back(id, std::move(result));
              loop_.stop();
            },
            [this](const Endpoint& local, const Endpoint& to) {
              asked_of_ = {local, to};
              return false;
            }) {
    loop_.every(10ms, "patience", [this] {
      const bool has_happened = awaited_ && *awaited_;
      if (has_happened || std::chrono::steady_clock::now() > deadline_) loop_.stop();
    });
  }

  AProber& prober() { return prober_; }
  // The two ends of the last connection whose departure was asked for.
  const std::pair<Endpoint, Endpoint>& asked_of() const { return asked_of_; }

  // The result of check 7 at the endpoint; empty if there is none in time.
  std::optional<CheckResult> result_at(const Endpoint& endpoint) {
    prober_.start(7, endpoint);
    return next();
  }

  void run_until(const std::atomic<bool>& event) {
    awaited_ = &event;
    deadline_ = std::chrono::steady_clock::now() + kPatience;
    loop_.run();
    awaited_ = nullptr;
  }

  std::optional<CheckResult> next() {
    deadline_ = std::chrono::steady_clock::now() + kPatience;
    if (results_.empty()) loop_.run();
    if (results_.empty()) return std::nullopt;
    CheckResult result = results_.front().second;
    results_.erase(results_.begin());
    return result;
  }

 private:
  EventLoop loop_;
  std::vector<std::pair<std::uint64_t, CheckResult>> results_;
  std::chrono::steady_clock::time_point deadline_;
  const std::atomic<bool>* awaited_ = nullptr;
  std::pair<Endpoint, Endpoint> asked_of_;
  AProber prober_;
};

Endpoint nobody() {
  const Server closed;
  return closed.endpoint();
}

TEST(TcpProberTest, AHandshakeIsGood) {
  const Server server;
  const auto result = Checks<TcpProber>().result_at(server.endpoint());
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->good);
  EXPECT_EQ(result->what, "connected");
}

TEST(TcpProberTest, ARefusalIsNot) {
  const auto result = Checks<TcpProber>().result_at(nobody());
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->good);
  EXPECT_EQ(result->what, "Connection refused");
}

TEST(TcpProberTest, WhatWasEndedHasNoResult) {
  const Server first, second;
  Checks<TcpProber> checks;
  checks.prober().start(6, first.endpoint());
  checks.prober().end(6);
  checks.prober().end(5);
  EXPECT_TRUE(checks.result_at(second.endpoint())->good);
}

TEST(TcpProberTest, WhetherACheckHasLeftIsAskedByItsTwoEnds) {
  const Server server;
  Checks<TcpProber> checks;
  checks.prober().start(6, server.endpoint());

  EXPECT_FALSE(checks.prober().has_left(6));
  const auto& [local, to] = checks.asked_of();
  EXPECT_EQ(to, server.endpoint());
  EXPECT_EQ(local.address, server.endpoint().address);
  EXPECT_NE(local.port, 0);
  EXPECT_TRUE(checks.prober().has_left(5)) << "not known";
}

TEST(MqttProberTest, ConnectsAndDisconnects) {
  std::string connect, disconnect;
  Server server([&](int socket) {
    connect = read_some(socket);
    write_all(socket, std::string("\x20\x02\x00\x00", 4));
    while (true) {
      const std::string more = read_some(socket);
      if (more.empty()) break;
      disconnect += more;
    }
  });
  Checks<MqttProber> checks;
  checks.prober().use({.client_id = "lb-", .username = "who", .password = "secret"});

  const auto result = checks.result_at(server.endpoint());
  server.wait();

  ASSERT_TRUE(result);
  EXPECT_TRUE(result->good);
  EXPECT_EQ(result->what, "CONNACK");
  ASSERT_GT(connect.size(), 14u);
  EXPECT_EQ(connect[0], 0x10);
  EXPECT_EQ(connect.substr(2, 7), std::string("\x00\x04MQTT\x04", 7));
  EXPECT_EQ(connect[9], '\xc2') << "user name, password, clean session";
  EXPECT_EQ(connect.substr(14, 3), "lb-");
  EXPECT_EQ(connect.substr(connect.size() - 13), std::string("\x00\x03who\x00\x06secret", 13));
  EXPECT_EQ(disconnect, std::string("\xe0\x00", 2));
}

// Waits for the CONNACK and puts its code into `code`.
Server::Script refusing(char code) {
  return [code](int socket) {
    read_some(socket);
    write_all(socket, std::string("\x20\x02\x00", 3) + code);
    read_some(socket);
  };
}

TEST(MqttProberTest, WithoutCredentialsTheirRefusalIsASignOfLife) {
  Server server(refusing(5));
  Checks<MqttProber> checks;
  checks.prober().use({.client_id = "remora"});
  const auto result = checks.result_at(server.endpoint());
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->good);
  EXPECT_EQ(result->what, "CONNACK 5: not authorised");
}

TEST(MqttProberTest, WithCredentialsItIsAFailure) {
  Server server(refusing(4));
  Checks<MqttProber> checks;
  checks.prober().use({.client_id = "remora", .username = "who", .password = "wrong"});
  const auto result = checks.result_at(server.endpoint());
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->good);
  EXPECT_EQ(result->what, "CONNACK 4: bad user name or password");
}

TEST(MqttProberTest, EveryReturnCodeHasItsWords) {
  const MqttLogin none{.client_id = "remora"};
  EXPECT_FALSE(result_of_connack(1, none).good);
  EXPECT_FALSE(result_of_connack(2, none).good);
  EXPECT_EQ(result_of_connack(3, none).what, "CONNACK 3: server unavailable");
  EXPECT_FALSE(result_of_connack(3, none).good);
  EXPECT_TRUE(result_of_connack(4, none).good);
  EXPECT_EQ(result_of_connack(-1, none).what, "no MQTT connection: refused, reset or closed");
  EXPECT_FALSE(result_of_connack(-1, none).good);
}

TEST(MqttProberTest, ARefusedOrClosedConnectionIsAFailure) {
  Server closing([](int socket) { read_some(socket); });
  const auto closed = Checks<MqttProber>().result_at(closing.endpoint());
  ASSERT_TRUE(closed);
  EXPECT_FALSE(closed->good);
  EXPECT_EQ(closed->what, "no MQTT connection: refused, reset or closed");
  const auto refused = Checks<MqttProber>().result_at(nobody());
  ASSERT_TRUE(refused);
  EXPECT_FALSE(refused->good);
  EXPECT_EQ(refused->what, "Connection refused");
}

TEST(MqttProberTest, OneThatHangsIsEndedAndTheNextGoesOn) {
  std::atomic<bool> connected = false;
  std::string rest = "not closed";
  Server hanging([&](int socket) {
    read_some(socket);
    connected = true;
    rest = read_some(socket);
  });
  Server server(refusing(0));
  Checks<MqttProber> checks;
  checks.prober().start(6, hanging.endpoint());
  checks.run_until(connected);

  checks.prober().end(6);
  const auto result = checks.result_at(server.endpoint());

  ASSERT_TRUE(result);
  EXPECT_TRUE(result->good);
  hanging.wait();
  EXPECT_EQ(rest, "") << "without a CONNACK there is no DISCONNECT";
}

// Paho used to need more than two seconds for the host that answers.
TEST(MqttProberTest, HostsThatDoNotAnswerDoNotDelayOthers) {
  const Server full;  // its backlog is full: the next SYN gets no answer
  std::vector<Fd> fillers;
  const SocketAddress address(full.endpoint().address, net_to_host16(full.endpoint().port));
  for (int i = 0; i < 20; ++i) {
    fillers.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    static_cast<void>(!connect(fillers.back().get(), address.get(), address.size()));
  }
  Checks<MqttProber> checks;
  for (std::uint64_t id = 100; id < 110; ++id) checks.prober().start(id, full.endpoint());
  for (int i = 0; i < 3; ++i) {
    Server server(refusing(0));
    const auto result = checks.result_at(server.endpoint());
    ASSERT_TRUE(result);
    EXPECT_TRUE(result->good);
  }
}

TEST(MqttProberTest, ManyAtATime) {
  constexpr int kMany = 50;
  std::vector<std::unique_ptr<Server>> servers;
  Checks<MqttProber> checks;
  for (int i = 0; i < kMany; ++i) {
    servers.push_back(std::make_unique<Server>(refusing(0)));
    checks.prober().start(static_cast<std::uint64_t>(100 + i), servers.back()->endpoint());
  }
  for (int i = 0; i < kMany; ++i) {
    const auto result = checks.next();
    ASSERT_TRUE(result) << i;
    EXPECT_TRUE(result->good);
  }
}

}  // namespace
}  // namespace remora
