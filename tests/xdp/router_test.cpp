// SPDX-License-Identifier: Apache-2.0
//
// Packets that are passed up to the router. With real sockets, in a network namespace of the test's
// own.
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "daemon/base/clock.h"
#include "daemon/base/fd.h"
#include "daemon/base/socket_address.h"
#include "tests/support/private_network.h"
#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

constexpr __u32 kOnly = 0;
constexpr std::uint64_t kStaleNs = (HEARTBEAT_STALE_S + 1) * 1'000'000'000ULL;
constexpr std::uint64_t kLongNs = 25ULL * 3600 * 1'000'000'000;  // more than a day

constexpr Peer kOther{ipv4("10.1.1.8"), 40'000};

void run(const char* command) {
  if (std::system(command) != 0) throw std::runtime_error(command);
}

class RouterTest : public SteerTest {
 protected:
  void SetUp() override {
    SteerTest::SetUp();
    if (IsSkipped()) return;
    network_.emplace(0x0a010202);
    run("sysctl -q -w net.ipv6.conf.all.disable_ipv6=0 && ip link set lo up");
    run("ip address add 10.1.50.200/32 dev lo && ip address add 10.1.1.7/32 dev lo && "
        "ip address add 2001:db8:50::200/128 dev lo nodad && "
        "ip address add 2001:db8:1::7/128 dev lo nodad");
    route_unknown(kService);
    route_unknown(kService6);
    open(10, 10);
  }

  // Unknown clients of the service go to the router.
  void route_unknown(Peer service) const {
    const service_key key{abi_address(service.address), htobe16(service.port), 0};
    auto services = chain_->map<service_key, struct service>("services");
    auto entry = *services.find(key);
    entry.unknown = UNKNOWN_TO_ROUTER;
    services.put(key, entry);
  }

  void open(std::uint32_t connections, std::uint32_t per_second,
            std::uint64_t at_ns = monotonic_ns()) const {
    chain_->map<__u32, router_room>("router_room").put(kOnly, {at_ns, connections, per_second});
  }

  void put_way(Peer client, way way, std::uint64_t age_ns = 0) const {
    const client_key key{abi_address(client.address), kServiceNumber, 0};
    chain_->map<client_key, client_way>("client_ways")
        .put(key, {monotonic_ns() - age_ns, static_cast<__u32>(way), 0});
  }

  static SocketAddress address_of(Peer peer) {
    return SocketAddress(Address(abi_address(peer.address)), peer.port);
  }

  static Fd bound(Peer at) {
    const SocketAddress address = address_of(at);
    Fd fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd.get(), address.get(), address.size()) != 0)
      throw std::system_error(errno, std::generic_category(), "bind");
    return fd;
  }

  static Fd listening(Peer at) {
    Fd fd = bound(at);
    if (listen(fd.get(), 16) != 0)
      throw std::system_error(errno, std::generic_category(), "listen");
    return fd;
  }

  // A connection of that client that belongs to the host's own TCP.
  static std::pair<Fd, Fd> connection(const Fd& listener, Peer client, Peer service) {
    Fd fd = bound(client);
    const SocketAddress to = address_of(service);
    if (::connect(fd.get(), to.get(), to.size()) != 0)
      throw std::system_error(errno, std::generic_category(), "connect");
    return {std::move(fd), Fd(accept(listener.get(), nullptr, nullptr))};
  }

  Outcome syn_of(Peer from, std::uint32_t isn = 1000) {
    return send(Client(from, service_for(from), isn).syn());
  }

 private:
  std::optional<PrivateNetwork> network_;
};

bool is_up(const Outcome& out) {
  return out.verdict == XDP_PASS && out.metadata.empty();
}

TEST_F(RouterTest, TheSynOfAnUnknownClientGoesUpUntouched) {
  const Fd listener = listening(kService);
  const Client client(kClient, kService);

  const Outcome out = send(client.syn());

  ASSERT_TRUE(is_up(out));
  EXPECT_EQ(out.packet.destination(), kService.address);
  EXPECT_EQ(counter(COUNT_SYN_ROUTED), 1U);
  EXPECT_FALSE(half_open_of(client));
}

TEST_F(RouterTest, OverIpv6AsWell) {
  ipv6_reals();
  const Fd listener = listening(kService6);

  EXPECT_TRUE(is_up(syn_of(kClient6)));

  const auto connected = connection(listener, kClient6, kService6);
  EXPECT_TRUE(is_up(send(Client(kClient6, kService6).ack())));
  EXPECT_TRUE(send(Client({kClient6.address, 50'000}, kService6).ack()).forwarded());
}

TEST_F(RouterTest, WithoutAListenerItGoesToTheDefaultGroup) {
  const Outcome out = syn_of(kClient);

  ASSERT_TRUE(out.forwarded());
  EXPECT_EQ(out.group(), kDefault);
  EXPECT_EQ(counter(COUNT_ROUTER_ABSENT), 1U);
}

TEST_F(RouterTest, WithoutAHeartbeatItGoesToTheDefaultGroup) {
  const Fd listener = listening(kService);
  open(10, 10, monotonic_ns() - kStaleNs);

  EXPECT_TRUE(syn_of(kClient).forwarded());

  EXPECT_EQ(counter(COUNT_ROUTER_ABSENT), 1U);
}

TEST_F(RouterTest, AKnownClientTakesTheFastPath) {
  const Fd listener = listening(kService);
  predict(kClient, kTemperature);

  const Outcome out = syn_of(kClient);

  ASSERT_TRUE(out.forwarded());
  EXPECT_EQ(out.group(), kTemperature);
}

TEST_F(RouterTest, AServiceThatDoesNotWantItKeepsItsUnknownClients) {
  const Fd listener = listening(kService);
  service(kService, kServiceNumber, kDefault);

  EXPECT_TRUE(syn_of(kClient).forwarded());

  EXPECT_EQ(counter(COUNT_ROUTER_ABSENT), 0U);
}

TEST_F(RouterTest, NoMoreConnectionsThanItHasRoomFor) {
  const Fd listener = listening(kService);
  open(2, 10);

  EXPECT_TRUE(is_up(syn_of(kClient)));
  EXPECT_TRUE(is_up(syn_of(kOther)));
  EXPECT_TRUE(syn_of({ipv4("10.1.1.9"), 40'000}).forwarded());

  EXPECT_EQ(counter(COUNT_ROUTER_FULL), 1U);
}

TEST_F(RouterTest, NoMoreOfThemThanItTakesInASecond) {
  const Fd listener = listening(kService);
  open(10, 1);

  EXPECT_TRUE(is_up(syn_of(kClient)));
  EXPECT_TRUE(syn_of(kOther).forwarded());

  EXPECT_EQ(counter(COUNT_ROUTER_RATE), 1U);
}

TEST_F(RouterTest, ASynOfAConnectionThatItHasCostsNoRoom) {
  const Fd listener = listening(kService);
  const auto connected = connection(listener, kClient, kService);
  open(0, 0);
  predict(kClient, kTemperature);  // by another connection, meanwhile

  EXPECT_TRUE(is_up(syn_of(kClient)));

  EXPECT_FALSE(half_open_of(Client(kClient, kService)));
}

TEST_F(RouterTest, SegmentsOfItsConnectionsGoUp) {
  const Fd listener = listening(kService);
  const auto connected = connection(listener, kClient, kService);
  Client client(kClient, kService);

  EXPECT_TRUE(is_up(send(client.ack())));
  EXPECT_TRUE(is_up(send(client.send(Bytes(1460, 'x')))));
  EXPECT_TRUE(is_up(send(client.fin())));

  EXPECT_EQ(counter(COUNT_ROUTED), 3U);
  EXPECT_EQ(counter(COUNT_NO_FLOW), 0U);
}

TEST_F(RouterTest, AStrayNeverMeetsTheListener) {
  const Fd listener = listening(kService);
  Client client(kClient, kService);

  EXPECT_TRUE(send(client.ack()).forwarded());
  EXPECT_TRUE(send(client.send(publish_packet(kTemperatureTopic))).forwarded());
  EXPECT_TRUE(send(client.rst()).forwarded());

  EXPECT_EQ(counter(COUNT_NO_FLOW), 3U);
}

TEST_F(RouterTest, AFlowStaysWhereItIs) {
  Client client = connect(kClient);
  const Fd listener = listening(kService);
  const auto connected = connection(listener, kClient, kService);

  EXPECT_TRUE(send(client.ack()).forwarded());
}

TEST_F(RouterTest, AConnectionOfAFormerFlowsPortGoesUp) {
  Client former = connect(kClient);
  send(former.fin());
  const Fd listener = listening(kService);
  const Client client(kClient, kService, 500'000'000);

  EXPECT_TRUE(is_up(send(client.syn())));

  const auto connected = connection(listener, kClient, kService);
  EXPECT_TRUE(is_up(send(client.ack())));
}

TEST_F(RouterTest, AClientOfSeveralGroupsGoesUpForADay) {
  const Fd listener = listening(kService);
  predict(kClient, kTemperature);
  put_way(kClient, WAY_ROUTER);
  EXPECT_TRUE(is_up(syn_of(kClient)));

  put_way(kClient, WAY_ROUTER, kLongNs);

  EXPECT_TRUE(syn_of({kClient.address, 40'001}).forwarded());
}

class ChangingClientTest : public RouterTest {
 protected:
  void SetUp() override {
    RouterTest::SetUp();
    if (IsSkipped()) return;
    settings_.resets_per_client = 1000;
    settings_.changes_per_day = 4;
    write(settings_);
    predict(kClient, kTemperature);  // the fast path knows it
  }

  // Connections that alternate between two groups, until one goes up or there have been many.
  // Returns how many took the fast path.
  int alternate(Peer from = kClient) {
    constexpr int kMany = 40;
    for (int i = 0; i < kMany; ++i) {
      const auto port = static_cast<std::uint16_t>(41'000 + i);
      const std::uint32_t isn = 100'000U * static_cast<unsigned>(i + 1);
      Client client({from.address, port}, kService, isn);
      const Outcome out = send(client.syn());
      if (is_up(out)) return i;
      if (is_question(out)) {
        send(answer_to(client, out));
        EXPECT_TRUE(send(client.syn()).forwarded());
      }
      send(client.ack());
      send(client.send(connect_packet()));
      publish(client, i % 2 == 0 ? kHumidityTopic : kTemperatureTopic);
    }
    return kMany;
  }
};

TEST_F(ChangingClientTest, ItGoesUpInsteadOfBeingKept) {
  const Fd listener = listening(kService);

  EXPECT_LE(alternate(), 10);

  EXPECT_EQ(counter(COUNT_KEPT_CHANGING), 0u);
  EXPECT_EQ(counter(COUNT_SYN_ROUTED), 1u);
}

// Two connections of one address live, and one changes its group.
TEST_F(ChangingClientTest, OneChangeIsEnoughBesideAnotherConnection) {
  const Fd listener = listening(kService);
  const int alone = alternate();
  predict(kOther, kTemperature);
  Client neighbour = connect(kOther);
  publish(neighbour, kTemperatureTopic);

  EXPECT_LT(alternate(kOther), alone);
  EXPECT_EQ(counter(COUNT_SYN_ROUTED), 2u);
}

TEST_F(ChangingClientTest, ItIsKeptWhileTheRouterHasNoRoom) {
  const Fd listener = listening(kService);
  open(0, 10);

  EXPECT_EQ(alternate(), 40);

  EXPECT_GE(counter(COUNT_KEPT_CHANGING), 10u);
  EXPECT_EQ(counter(COUNT_SYN_ROUTED), 0u);
  EXPECT_GT(counter(COUNT_ROUTER_FULL), 0u);
}

TEST_F(RouterTest, AClientOfAnotherProtocolGoesToTheDefaultGroupForADay) {
  const Fd listener = listening(kService);
  put_way(kClient, WAY_DEFAULT);
  EXPECT_TRUE(syn_of(kClient).forwarded());

  put_way(kClient, WAY_DEFAULT, kLongNs);

  EXPECT_TRUE(is_up(syn_of({kClient.address, 40'001})));
}

}  // namespace
}  // namespace remora
