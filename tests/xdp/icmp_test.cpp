// SPDX-License-Identifier: Apache-2.0
//
// ICMP errors about packets on their way to a broker. They reach the LB only if the outer source is
// one of its addresses; then it must tell the client.
#include <algorithm>

#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

constexpr Peer kOwn4{ipv4("10.1.9.9"), 0}, kOwn6{ipv6("2001:db8:9::9"), 0};
constexpr Peer kRouter4{ipv4("10.9.0.1"), 0}, kRouter6{ipv6("2001:db8:ffff::1"), 0};

constexpr std::uint8_t kUnreachable = 3, kTimeExceeded = 11;  // RFC 792
constexpr std::uint8_t kUnreachable6 = 1, kTooBig6 = 2, kTimeExceeded6 = 3, kParameter6 = 4;

class IcmpTest : public SteerTest {
 protected:
  void SetUp() override {
    SteerTest::SetUp();
    if (IsSkipped()) return;
    settings_.outer_source4 = abi_address(kOwn4.address);
    settings_.outer_source6 = abi_address(kOwn6.address);
    write(settings_);
  }

  // Expects that the frame is passed unchanged.
  void expect_untouched(const Bytes& frame, const char* what) {
    const Outcome out = send_frame(frame);
    EXPECT_EQ(out.verdict, XDP_PASS) << what;
    EXPECT_EQ(out.packet.bytes(), frame) << what;
    EXPECT_EQ(counter(COUNT_ICMP_TRANSLATED), 0u) << what;
  }
};

// A router's error about an IPv4 packet, with the packet's first `quoted` bytes.
Bytes error4(const Packet& about, std::uint8_t type, std::uint8_t code, std::uint32_t info,
             std::size_t quoted = 548) {
  const Bytes packet = about.ip_packet();
  Bytes message{type,
                code,
                0,
                0,
                static_cast<std::uint8_t>(info >> 24),
                static_cast<std::uint8_t>(info >> 16),
                static_cast<std::uint8_t>(info >> 8),
                static_cast<std::uint8_t>(info)};
  message.insert(message.end(), packet.begin(),
                 packet.begin() + static_cast<std::ptrdiff_t>(std::min(quoted, packet.size())));
  return with_tags(
      ipv4_frame(kRouter4, {about.source(), 0}, IPPROTO_ICMP, icmp_with_checksum(message)),
      about.tags());
}

// A router's error about an IPv6 packet.
Bytes error6(const Packet& about, std::uint8_t type, std::uint8_t code, std::uint32_t info,
             std::size_t quoted = 1232) {
  const Packet as4(error4(Packet(ipv4_frame(kOwn4, kOwn4, 0, about.ip_packet())), type, code, info,
                          20 + quoted));
  Bytes message = as4.ip_body();
  message.erase(message.begin() + 8, message.begin() + 28);  // the IPv4 header around it
  return with_tags(ipv6_frame(kRouter6, {about.source(), 0}, IPPROTO_ICMPV6,
                              icmp6_with_checksum(message, kRouter6.address, about.source())),
                   about.tags());
}

Bytes payload(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; i++) bytes[i] = static_cast<std::uint8_t>(i * 5 + i / 256);
  return bytes;
}

const std::vector<std::vector<VlanTag>> kTags = {{}, {{100}}, {{20, ETH_P_8021AD}, {100}}};

TEST_F(IcmpTest, FragmentationNeededReachesTheClient) {
  for (const std::vector<VlanTag>& tags : kTags) {
    Client client = connect({kClient.address, static_cast<std::uint16_t>(40'000 + tags.size())});
    const Packet sent(client.at(40, payload(1400)).tagged(tags).frame());
    const Packet wrapped = send_frame(sent.bytes()).packet;

    const Outcome out = send_frame(error4(wrapped, kUnreachable, 4, 1400));

    ASSERT_EQ(out.verdict, XDP_TX);
    const Packet& answer = out.packet;
    EXPECT_EQ(answer.tags(), tags);
    EXPECT_EQ(answer.destination_mac(), kRouterMac) << "the gateway's";
    EXPECT_EQ(answer.source_mac(), kLbMac);
    EXPECT_EQ(answer.protocol(), IPPROTO_ICMP);
    EXPECT_EQ(answer.source(), kService.address);
    EXPECT_EQ(answer.destination(), kClient.address);
    EXPECT_EQ(answer.bytes().size(), answer.link_size() + 20 + 8 + 28);
    EXPECT_EQ(answer.icmp().type, kUnreachable);
    EXPECT_EQ(answer.icmp().code, 4);
    EXPECT_EQ(be32toh(answer.icmp().un.gateway), 1380u);
    EXPECT_TRUE(answer.checksums_are_valid());
    const Bytes body = answer.ip_body(), packet = sent.ip_packet();
    EXPECT_EQ(Bytes(body.begin() + 8, body.end()), Bytes(packet.begin(), packet.begin() + 28));
  }
  EXPECT_EQ(counter(COUNT_ICMP_TRANSLATED), 3u);
  EXPECT_EQ(counter(COUNT_ICMP_UNTRANSLATED), 0u);
}

TEST_F(IcmpTest, PacketTooBigReachesTheClient) {
  ipv6_reals();
  for (const std::vector<VlanTag>& tags : kTags) {
    Client client = connect({kClient6.address, static_cast<std::uint16_t>(40'000 + tags.size())});
    const Packet sent(client.at(40, payload(1380)).tagged(tags).frame());
    const Packet wrapped = send_frame(sent.bytes()).packet;

    const Outcome out = send_frame(error6(wrapped, kTooBig6, 0, 1400));

    ASSERT_EQ(out.verdict, XDP_TX);
    const Packet& answer = out.packet;
    EXPECT_EQ(answer.tags(), tags);
    EXPECT_EQ(answer.destination_mac(), kRouterMac);
    EXPECT_EQ(answer.source_mac(), kLbMac);
    EXPECT_EQ(answer.protocol(), IPPROTO_ICMPV6);
    EXPECT_EQ(answer.source(), kService6.address);
    EXPECT_EQ(answer.destination(), kClient6.address);
    EXPECT_EQ(answer.icmp().type, kTooBig6);
    EXPECT_EQ(answer.icmp().code, 0);
    EXPECT_EQ(be32toh(answer.icmp().un.gateway), 1360u);
    EXPECT_TRUE(answer.checksums_are_valid());
    const Bytes body = answer.ip_body(), packet = sent.ip_packet();
    ASSERT_EQ(body.size(), 8u + 1232 - 40) << "what the router quoted of it";
    EXPECT_EQ(Bytes(body.begin() + 8, body.end()),
              Bytes(packet.begin(), packet.begin() + 1232 - 40));
  }
  EXPECT_EQ(counter(COUNT_ICMP_TRANSLATED), 3u);
}

// RFC 2473 §8.1: the error for the client's IPv4 packet in an IPv6 tunnel comes in IPv4.
TEST_F(IcmpTest, PacketTooBigReachesAnIpv4Client) {
  ipv6_reals();
  Client client = connect();
  const Packet sent(client.at(40, payload(1400)).frame());
  const Packet wrapped = send_frame(sent.bytes()).packet;

  const Outcome out = send_frame(error6(wrapped, kTooBig6, 0, 1300));

  ASSERT_EQ(out.verdict, XDP_TX);
  EXPECT_EQ(out.packet.protocol(), IPPROTO_ICMP);
  EXPECT_EQ(out.packet.source(), kService.address);
  EXPECT_EQ(out.packet.destination(), kClient.address);
  EXPECT_EQ(out.packet.icmp().type, kUnreachable);
  EXPECT_EQ(out.packet.icmp().code, 4);
  EXPECT_EQ(be32toh(out.packet.icmp().un.gateway), 1260u);
  EXPECT_TRUE(out.packet.checksums_are_valid());
  const Bytes body = out.packet.ip_body(), packet = sent.ip_packet();
  EXPECT_EQ(Bytes(body.begin() + 8, body.end()), Bytes(packet.begin(), packet.begin() + 28));
}

// RFC 2003 §5, RFC 2473 §8: the client need not know of the tunnel. For any error in it the client
// is told that the broker is unreachable.
TEST_F(IcmpTest, WhatCannotReachTheBrokerIsUnreachableToTheClient) {
  Client client = connect();
  const Packet wrapped = send(client.ack()).packet;
  for (const auto& [type, code] :
       std::vector<std::pair<std::uint8_t, std::uint8_t>>{{kUnreachable, 0},
                                                          {kUnreachable, 1},
                                                          {kUnreachable, 2},
                                                          {kUnreachable, 13},
                                                          {kTimeExceeded, 0}}) {
    const Outcome out = send_frame(error4(wrapped, type, code, 0));
    ASSERT_EQ(out.verdict, XDP_TX) << int{type} << " " << int{code};
    EXPECT_EQ(out.packet.destination(), kClient.address);
    EXPECT_EQ(out.packet.icmp().type, kUnreachable);
    EXPECT_EQ(out.packet.icmp().code, 1) << "host";
    EXPECT_EQ(out.packet.icmp().un.gateway, 0u);
    EXPECT_TRUE(out.packet.checksums_are_valid());
  }

  ipv6_reals();
  Client client6 = connect(kClient6);
  const Packet sent(client6.ack().frame());
  const Packet wrapped6 = send_frame(sent.bytes()).packet;
  for (const std::uint8_t type : {kUnreachable6, kTimeExceeded6, kParameter6}) {
    const Outcome out = send_frame(error6(wrapped6, type, 1, 0));
    ASSERT_EQ(out.verdict, XDP_TX) << int{type};
    EXPECT_EQ(out.packet.destination(), kClient6.address);
    EXPECT_EQ(out.packet.icmp().type, kUnreachable6);
    EXPECT_EQ(out.packet.icmp().code, 3) << "address";
    EXPECT_EQ(out.packet.icmp().un.gateway, 0u);
    EXPECT_TRUE(out.packet.checksums_are_valid());
    const Bytes body = out.packet.ip_body();
    EXPECT_EQ(Bytes(body.begin() + 8, body.end()), sent.ip_packet());
  }
}

TEST_F(IcmpTest, ASynAndAHalfOpenConnectionAreKnownToo) {
  const Client client(kClient, kService);
  const Packet syn = send(client.syn()).packet, ack = send(client.ack()).packet;

  EXPECT_EQ(send_frame(error4(syn, kUnreachable, 1, 0)).verdict, XDP_TX);
  EXPECT_EQ(send_frame(error4(ack, kUnreachable, 1, 0)).verdict, XDP_TX);
}

TEST_F(IcmpTest, AConnectionThatIsNotTrackedIsFoundByPredictionAndRing) {
  group(kTemperature, 5);
  predict(kClient, kTemperature);
  Client unknown(kClient, kService);
  const Packet wrapped = send(unknown.at(0, payload(1400))).packet;
  ASSERT_EQ(counter(COUNT_NO_FLOW), 1u);

  EXPECT_EQ(send_frame(error4(wrapped, kUnreachable, 4, 1400)).verdict, XDP_TX);
}

// A client does not accept less than its family's smallest MTU.
TEST_F(IcmpTest, NoMtuIsBelowTheSmallest) {
  Client client = connect();
  const Packet wrapped = send(client.send(payload(100))).packet;
  const Outcome out = send_frame(error4(wrapped, kUnreachable, 4, 70));
  ASSERT_EQ(out.verdict, XDP_TX);
  EXPECT_EQ(be32toh(out.packet.icmp().un.gateway), 68u);

  ipv6_reals();
  Client client6 = connect(kClient6);
  const Packet wrapped6 = send(client6.send(payload(1380))).packet;
  const Outcome out6 = send_frame(error6(wrapped6, kTooBig6, 0, 1300));
  ASSERT_EQ(out6.verdict, XDP_TX);
  EXPECT_EQ(be32toh(out6.packet.icmp().un.gateway), 1280u);
}

TEST_F(IcmpTest, WhatIsOfNoUseToTheClientGoesToTheHostCounted) {
  Client client = connect();
  const Packet wrapped = send(client.at(40, payload(1400))).packet;
  Bytes broken = error4(wrapped, kUnreachable, 4, 1400);
  broken[60] ^= 1;
  Bytes elsewhere = wrapped.bytes();
  elsewhere[14 + 19] ^= 1;  // the real
  Bytes other_service = wrapped.bytes(), udp = other_service;
  other_service[34 + 20 + 2] ^= 1;  // the port
  udp[34 + 9] = IPPROTO_UDP;
  const struct {
    const char* what;
    Bytes frame;
  } cases[] = {
      {"the outer header and 8 bytes (RFC 792)", error4(wrapped, kUnreachable, 4, 1400, 28)},
      {"a byte too short", error4(wrapped, kUnreachable, 4, 1400, 47)},
      {"no MTU (RFC 1191 §5)", error4(wrapped, kUnreachable, 4, 0)},
      {"nothing left of the MTU", error4(wrapped, kUnreachable, 4, 20)},
      {"the packet did fit", error4(wrapped, kUnreachable, 4, 1460)},
      {"a broken checksum", broken},
      {"another real", error4(Packet(elsewhere), kUnreachable, 4, 1400)},
      {"another service", error4(Packet(other_service), kUnreachable, 4, 1400)},
      {"not TCP", error4(Packet(udp), kUnreachable, 4, 1400)},
      {"source quench", error4(wrapped, 4, 0, 0)},
  };
  std::uint64_t expected = 0;
  for (const auto& [what, frame] : cases) {
    expect_untouched(frame, what);
    EXPECT_EQ(counter(COUNT_ICMP_UNTRANSLATED), ++expected) << what;
  }
  EXPECT_EQ(send_frame(error4(wrapped, kUnreachable, 4, 1400, 48)).verdict, XDP_TX)
      << "just long enough";
}

TEST_F(IcmpTest, WhatIsOfNoUseToAnIpv6ClientGoesToTheHostCounted) {
  ipv6_reals();
  Client client = connect(kClient6);
  const Packet wrapped = send(client.at(40, payload(1380))).packet;
  Bytes broken = error6(wrapped, kTooBig6, 0, 1400), elsewhere = wrapped.bytes(),
        udp = wrapped.bytes();
  broken[120] ^= 1;
  elsewhere[14 + 39] ^= 1;  // the real
  udp[54 + 6] = IPPROTO_UDP;
  const struct {
    const char* what;
    Bytes frame;
  } cases[] = {
      {"a byte too short", error6(wrapped, kTooBig6, 0, 1400, 40 + 40 + 7)},
      {"the outer header alone", error6(wrapped, kTooBig6, 0, 1400, 40)},
      {"no MTU", error6(wrapped, kTooBig6, 0, 0)},
      {"the packet did fit", error6(wrapped, kTooBig6, 0, 1480)},
      {"a broken checksum", broken},
      {"another real", error6(Packet(elsewhere), kTooBig6, 0, 1400)},
      {"not TCP", error6(Packet(udp), kTooBig6, 0, 1400)},
      {"no error", error6(wrapped, 128, 0, 0)},
  };
  std::uint64_t expected = 0;
  for (const auto& [what, frame] : cases) {
    expect_untouched(frame, what);
    EXPECT_EQ(counter(COUNT_ICMP_UNTRANSLATED), ++expected) << what;
  }
  EXPECT_EQ(send_frame(error6(wrapped, kTooBig6, 0, 1400, 40 + 40 + 8)).verdict, XDP_TX)
      << "just long enough";
}

// A packet of 1280 bytes or less cannot be made smaller (RFC 8201 §4).
TEST_F(IcmpTest, AnIpv6ClientIsNotToldWhatItCannotHeed) {
  ipv6_reals();
  Client client = connect(kClient6);
  const Packet wrapped = send(client.at(40, payload(1220))).packet;

  expect_untouched(error6(wrapped, kTooBig6, 0, 1300), "1280 bytes");
  EXPECT_EQ(counter(COUNT_ICMP_UNTRANSLATED), 1u);
}

TEST_F(IcmpTest, OtherErrorsAreNotOurBusiness) {
  Client client = connect();
  const Packet sent(client.at(40, payload(1400)).frame());
  const Packet wrapped = send_frame(sent.bytes()).packet;
  Bytes not_ours = wrapped.bytes(), to_other = error4(wrapped, kUnreachable, 4, 1400),
        fragment = to_other;
  not_ours[14 + 12] ^= 1;
  to_other[14 + 16] ^= 1;
  fragment[14 + 6] = 0x20;
  expect_untouched(error4(Packet(not_ours), kUnreachable, 4, 1400), "another outer source");
  expect_untouched(to_other, "to another address");
  expect_untouched(fragment, "a fragment");
  expect_untouched(
      error4(Packet(data(bytes_of("ssh")).from(kOwn4).to({ipv4("10.9.9.9"), 22}).frame()),
             kUnreachable, 4, 1400),
      "about a connection of the host itself");
  expect_untouched(ipv4_frame(kRouter4, kOwn4, IPPROTO_ICMP, icmp_with_checksum(Bytes(60, 8))),
                   "a ping");
  EXPECT_EQ(counter(COUNT_ICMP_UNTRANSLATED), 0u);
}

// The default: Katran's outer source is not routed, and errors to it are not believed.
TEST_F(IcmpTest, WithKatransOuterSourceNothingIsTranslated) {
  settings_.outer_source4 = {};
  settings_.outer_source6 = {};
  write(settings_);
  Client client = connect();
  const Packet wrapped = send(client.at(40, payload(1400))).packet;
  expect_untouched(error4(wrapped, kUnreachable, 4, 1400), "IPv4");

  ipv6_reals();
  Client client6 = connect(kClient6);
  const Packet wrapped6 = send(client6.at(40, payload(1380))).packet;
  expect_untouched(error6(wrapped6, kTooBig6, 0, 1400), "IPv6");
  EXPECT_EQ(counter(COUNT_ICMP_UNTRANSLATED), 0u);
}

TEST_F(IcmpTest, ErrorsCutAnywhereDoNoHarm) {
  Client client = connect();
  const Bytes whole = error4(send(client.at(40, payload(1400))).packet, kUnreachable, 4, 1400, 100);
  for (std::size_t size = 14; size < whole.size(); size++)
    expect_untouched(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)),
                     "IPv4, cut");

  ipv6_reals();
  Client client6 = connect(kClient6);
  const Bytes whole6 = error6(send(client6.at(40, payload(1380))).packet, kTooBig6, 0, 1400, 100);
  for (std::size_t size = 14; size < whole6.size(); size++)
    expect_untouched(Bytes(whole6.begin(), whole6.begin() + static_cast<std::ptrdiff_t>(size)),
                     "IPv6, cut");
}

// A broker sends packets to clients from the service address, so errors about them come to the LB.
class BrokerIcmpTest : public SteerTest {
 protected:
  // A packet of 1400 bytes and more that a broker has sent to the client.
  static Packet answer_to(const Peer& client, const Peer& service) {
    return Packet(data(payload(1400)).from(service).to(client).frame());
  }

  // Expects the unchanged frame in an outer header, for a broker.
  static void expect_wrapped(const Outcome& out, const Bytes& frame, const IpAddress& real) {
    ASSERT_EQ(out.verdict, XDP_TX);
    EXPECT_EQ(out.packet.destination(), real);
    EXPECT_EQ(out.packet.inner().ip_packet(), Packet(frame).ip_packet());
    EXPECT_TRUE(out.packet.checksums_are_valid());
  }

  void expect_passed(const Bytes& frame, const char* what) {
    const Outcome out = send_frame(frame);
    EXPECT_EQ(out.verdict, XDP_PASS) << what;
    EXPECT_EQ(out.packet.bytes(), frame) << what;
    EXPECT_EQ(counter(COUNT_ICMP_TO_BROKER), 0u) << what;
  }
};

TEST_F(BrokerIcmpTest, FragmentationNeededReachesTheBroker) {
  for (const std::vector<VlanTag>& tags : kTags) {
    Client client = connect({kClient.address, static_cast<std::uint16_t>(40'000 + tags.size())});
    const IpAddress real = send(client.ack()).packet.destination();
    const Bytes error =
        with_tags(error4(answer_to(client.self(), kService), kUnreachable, 4, 1400), tags);

    expect_wrapped(send_frame(error), error, real);
  }
  EXPECT_EQ(counter(COUNT_ICMP_TO_BROKER), kTags.size());
}

TEST_F(BrokerIcmpTest, PacketTooBigReachesTheBroker) {
  ipv6_reals();
  Client client = connect(kClient6);
  const IpAddress real = send(client.ack()).packet.destination();
  const Bytes error = error6(answer_to(kClient6, kService6), kTooBig6, 0, 1300);

  expect_wrapped(send_frame(error), error, real);
}

// An error goes to the real of its flow even if the ring has changed; without a flow, to the real
// that prediction and ring choose.
TEST_F(BrokerIcmpTest, TheRealIsThatOfTheConnection) {
  predict(kClient, kTemperature);
  Client client = connect();
  const IpAddress real = send(client.ack()).packet.destination();
  predict(kClient, kDefault);
  const Bytes error = error4(answer_to(kClient, kService), kUnreachable, 4, 1400);

  expect_wrapped(send_frame(error), error, real);

  const Peer other{kClient.address + 9, 40'000};
  predict(other, kTemperature);
  const Bytes untracked = error4(answer_to(other, kService), kUnreachable, 4, 1400);
  const IpAddress by_ring = send(Client(other, kService).syn()).packet.destination();
  expect_wrapped(send_frame(untracked), untracked, by_ring);
}

TEST_F(BrokerIcmpTest, OtherMessagesAreTheHosts) {
  connect();
  const Packet sent = answer_to(kClient, kService);
  Bytes fragment = error4(sent, kUnreachable, 4, 1400);
  fragment[14 + 6] = 0x20;
  Bytes to_other = error4(sent, kUnreachable, 4, 1400);
  to_other[14 + 19] ^= 1;
  expect_passed(error4(sent, kTimeExceeded, 0, 0), "time exceeded");
  expect_passed(fragment, "a fragment");
  expect_passed(to_other, "to somebody else than the sender of what it is about");
  expect_passed(error4(answer_to(kClient, {kService.address, 22}), kUnreachable, 4, 1400),
                "about another port");
  const Bytes whole = error4(sent, kUnreachable, 4, 1400, 24);
  for (std::size_t size = 14; size < whole.size(); size++)
    expect_passed(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)), "cut");
}

// A packet that found the forwarder's slot empty must not affect the next packet.
TEST_F(BrokerIcmpTest, WithoutAForwarderItIsTheHostsAndNothingIsLeftOver) {
  connect();
  const Bytes error = error4(answer_to(kClient, kService), kUnreachable, 4, 1400);
  const Bytes other = data(bytes_of("ssh")).from(kClient).to({ipv4("10.9.9.9"), 22}).frame();
  chain_->empty_slot(SLOT_FORWARDER);
  EXPECT_EQ(send_frame(error).verdict, XDP_PASS);

  chain_->put_in_slot(SLOT_FORWARDER, chain_->forwarder_fd());

  EXPECT_EQ(send_frame(other).packet.bytes(), other);
}

}  // namespace
}  // namespace remora
