// SPDX-License-Identifier: Apache-2.0
//
// The packets that end a connection leave the LB host, for all families of client and broker.
// Needs root.
#include "daemon/sessions/ender.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "bpf/parse.h"
#include "daemon/forwarders/embedded.h"
#include "tests/daemon/lb_network.h"

namespace remora {
namespace {

constexpr std::uint64_t kNow = 1'000'000'000;

Address address(const char* text) {
  return *Address::parse(text);
}

struct Case {
  const char* name;
  const char* client;
  const char* service;
  const char* real;
  std::size_t outer_bytes;
  std::uint8_t protocol;  // of the inner packet
};

constexpr Case kCases[] = {
    {"IPv4", "10.1.1.7", "10.1.50.200", "10.1.3.105", sizeof(iphdr), IPPROTO_IPIP},
    {"IPv4OverIPv6", "10.1.1.7", "10.1.50.200", "fc00:3::105", sizeof(ipv6_header), IPPROTO_IPIP},
    {"IPv6", "fc00:1::7", "fc00:50::200", "fc00:3::105", sizeof(ipv6_header), IPPROTO_IPV6},
};

class EnderTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    network_.emplace();
    network_->add_default_routes();
    forwarder_.emplace(NamedProgram{"forward", -1}, -1);
    record_.head.flow = {address(GetParam().client).abi(), host_to_net16(40000), 0};
    record_.head.seq = 1000;
    record_.head.ack = 2000;
    record_.head.flags = EVENT_SEGMENT;
    service_ = {address(GetParam().service), host_to_net16(1883)};
  }

  // The packet that the broker's decapsulation delivers; no value if none was sent to the broker.
  std::optional<Bytes> next_inner() {
    const auto packet = network_->next_packet();
    if (!packet || destination_of(*packet) != address(GetParam().real)) return std::nullopt;
    const auto outer_bytes = static_cast<std::ptrdiff_t>(GetParam().outer_bytes);
    EXPECT_EQ((*packet)[outer_bytes == sizeof(iphdr) ? 9 : 6], GetParam().protocol);
    return Bytes(packet->begin() + outer_bytes, packet->end());
  }

  Address source_of_next_outer_header() {
    const auto packet = network_->next_packet();
    if (!packet) return Address();
    if (GetParam().outer_bytes == sizeof(ipv6_header)) {
      ipv6_header ip;
      std::memcpy(&ip, packet->data(), sizeof(ip));
      return Address(ip.source);
    }
    iphdr ip;
    std::memcpy(&ip, packet->data(), sizeof(ip));
    return Address::from_ipv4(ip.saddr);
  }

  std::optional<LbNetwork> network_;
  Config config_;
  std::optional<EmbeddedForwarder> forwarder_;
  Record record_{};
  Endpoint service_{};
};

INSTANTIATE_TEST_SUITE_P(Over, EnderTest, testing::ValuesIn(kCases),
                         [](const auto& test) { return test.param.name; });

TEST_P(EnderTest, TheClientGetsItsRstAsFromTheService) {
  Ender ender(config_, *forwarder_);

  ender.reset_client(record_, service_);

  auto expected = reset_of_client(record_, service_);
  auto packet = network_->next_packet();
  ASSERT_TRUE(packet) << "nothing was sent";
  if (service_.address.is_ipv4()) {  // the kernel fills in its identification
    packet->erase(packet->begin() + 4, packet->begin() + 6);
    packet->erase(packet->begin() + 8, packet->begin() + 10);
    expected.erase(expected.begin() + 4, expected.begin() + 6);
    expected.erase(expected.begin() + 8, expected.begin() + 10);
  }
  EXPECT_EQ(*packet, expected);
  EXPECT_EQ(ender.counts().resets_sent, 1U);
  EXPECT_EQ(ender.counts().send_failures, 0U);
}

TEST_P(EnderTest, TheBrokerGetsDisconnectAtOnceAndTheRstsWhenItHasReadThat) {
  Ender ender(config_, *forwarder_);
  const SessionEnding inner = end_of_session(record_, service_, SessionEnd::kDisconnect);

  ender.end_session(record_, service_, {address(GetParam().real), std::nullopt}, kNow);

  EXPECT_EQ(next_inner(), inner.disconnect);
  ender.step(kNow + Ender::kEndingNs - 1);
  EXPECT_EQ(ender.counts().clean_ends, 0U);
  for (unsigned i = 1; i <= Ender::kResets; ++i) {
    ender.step(kNow + i * Ender::kEndingNs);
    EXPECT_EQ(next_inner(), inner.reset) << "RST " << i;
  }
  EXPECT_EQ(ender.counts().clean_ends, 1U);
  EXPECT_EQ(ender.counts().reset_ends, 0U);
  EXPECT_EQ(ender.counts().send_failures, 0U);
  ender.step(kNow + 10 * Ender::kEndingNs);
  ender.reset_client(record_, service_);
  EXPECT_EQ(destination_of(*network_->next_packet()), address(GetParam().client)) << "no RST more";
}

TEST_P(EnderTest, WhereNoDisconnectIsPossibleTheRstGoesAtOnce) {
  Ender ender(config_, *forwarder_);
  record_.head.flags |= EVENT_BEGAN_EARLIER;

  ender.end_session(record_, service_, {address(GetParam().real), std::nullopt}, kNow);

  EXPECT_EQ(next_inner(), end_of_session(record_, service_, SessionEnd::kReset).reset);
  EXPECT_EQ(ender.counts().reset_ends, 1U);
  ender.step(kNow + 10 * Ender::kEndingNs);
  EXPECT_EQ(ender.counts().clean_ends, 0U);
}

TEST_P(EnderTest, SessionsThatAreTooManyToWaitForAreResetAtOnce) {
  Ender ender(config_, *forwarder_);
  const BrokerWay way{address(GetParam().real), std::nullopt};
  for (std::size_t i = 0; i < Ender::kMostEndings; ++i) {
    ender.end_session(record_, service_, way, kNow);
  }
  EXPECT_EQ(ender.counts().reset_ends, 0U);

  ender.end_session(record_, service_, way, kNow);

  EXPECT_EQ(ender.counts().reset_ends, 1U);
  ender.step(kNow + Ender::kEndingNs);
  EXPECT_EQ(ender.counts().clean_ends, Ender::kMostEndings);
}

// Brokers behind Katran expect the VIP of their group; the TCP checksum is that of the service.
TEST_P(EnderTest, BehindKatranTheSessionEndIsAddressedToTheVip) {
  Ender ender(config_, *forwarder_);
  const SessionEnding inner = end_of_session(record_, service_, SessionEnd::kDisconnect);
  const Address vip = address(service_.address.is_ipv4() ? "10.1.50.201" : "fc00:50::201");

  ender.end_session(record_, service_, {address(GetParam().real), vip}, kNow);
  ender.step(kNow + Ender::kEndingNs);

  EXPECT_EQ(next_inner(), readdressed(*inner.disconnect, vip));
  EXPECT_EQ(next_inner(), readdressed(inner.reset, vip));
}

TEST_P(EnderTest, TheOuterSourceIsThatOfTheConfiguration) {
  Ender ender(config_, *forwarder_);
  ender.end_session(record_, service_, {address(GetParam().real), std::nullopt}, kNow);
  const Address by_default = source_of_next_outer_header();

  config_.lb.outer_source4 = address("10.1.2.99");
  config_.lb.outer_source6 = address("fc00:2::99");
  forwarder_->use(config_, {});
  ender.end_session(record_, service_, {address(GetParam().real), std::nullopt}, kNow);

  const bool is_ipv4 = address(GetParam().real).is_ipv4();
  EXPECT_TRUE(to_string(by_default).starts_with(is_ipv4 ? "172.16." : "100::"))
      << "as the forwarder";
  EXPECT_EQ(source_of_next_outer_header(), address(is_ipv4 ? "10.1.2.99" : "fc00:2::99"));
}

TEST_P(EnderTest, WithoutARouteItIsCounted) {
  LbNetwork::run("ip route del default");
  LbNetwork::run("ip -6 route del default");
  Ender ender(config_, *forwarder_);

  ender.reset_client(record_, service_);

  EXPECT_EQ(ender.counts().resets_sent, 0U);
  EXPECT_EQ(ender.counts().send_failures, 1U);
}

}  // namespace
}  // namespace remora
