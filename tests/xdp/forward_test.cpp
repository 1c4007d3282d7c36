// SPDX-License-Identifier: Apache-2.0
//
// The way out: which real, which outer header, which link, and what happens when
// one of them is missing. And the way in at the broker.
#include <map>

#include "daemon/address.h"
#include "daemon/maglev.h"
#include "decap.skel.h"
#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

class ForwardTest : public SteerTest {};

TEST_F(ForwardTest, ThePacketIsWrappedAsItIs) {
  const Segment segment =
      data(bytes_of("hello")).from(kClient).to(kService).seq(9).options(Bytes(12, 1));
  const Packet before(segment.frame());

  const Outcome out = send(segment);

  ASSERT_TRUE(out.forwarded());
  const iphdr outer = out.packet.ip();
  EXPECT_EQ(outer.version, 4);
  EXPECT_EQ(outer.ihl, 5);
  EXPECT_EQ(outer.protocol, IPPROTO_IPIP);
  EXPECT_EQ(outer.ttl, 64);
  EXPECT_EQ(outer.frag_off, 0);
  EXPECT_EQ(be16toh(outer.tot_len), be16toh(before.ip().tot_len) + 20);
  EXPECT_EQ(out.real(), ipv4("10.2.0.1"));
  EXPECT_EQ(out.packet.destination_mac(), kRouterMac);
  EXPECT_EQ(out.packet.source_mac(), kLbMac);
  EXPECT_TRUE(out.packet.checksums_are_valid());
  EXPECT_EQ(out.packet.ip_body(), Bytes(before.bytes().begin() + ETH_HLEN, before.bytes().end()))
      << "the inner packet is the client's, to the service";
}

// Katran's outer source: 172.16/16, the rest varies with the flow.
TEST_F(ForwardTest, TheOuterSourceVariesWithTheFlow) {
  const auto outer_source = [&](Endpoint client) {
    return send(Client(client, kService).syn()).packet.source();
  };

  EXPECT_EQ(outer_source({ipv4("10.1.1.7"), 0}), ipv4("172.16.1.7"));
  EXPECT_EQ(outer_source({ipv4("10.1.0.0"), 0x1234}), ipv4("172.16.52.18"))
      << "Katran takes the port's bytes in this order";
  EXPECT_NE(outer_source({ipv4("10.1.1.7"), 40'000}), outer_source({ipv4("10.1.1.7"), 40'001}));
  EXPECT_EQ(outer_source(kClient), outer_source(kClient));
}

TEST_F(ForwardTest, EthernetPaddingIsNotCountedIn) {
  const Outcome out = send(Client(kClient, kService).syn().padded_to(60));

  EXPECT_EQ(be16toh(out.packet.ip().tot_len), 60);
  EXPECT_TRUE(out.packet.checksums_are_valid());
}

TEST_F(ForwardTest, RealsGetFlowsByTheirWeights) {
  const std::vector<RingReal> reals = {{*Address::parse("10.2.0.1"), 1, 1},
                                       {*Address::parse("10.2.0.2"), 2, 2},
                                       {*Address::parse("10.2.0.3"), 0, 3}};
  group(kDefault, 3);
  ring(kDefault, build_ring(reals, RingVariant::kMaglevV2));

  std::map<std::uint32_t, int> flows;
  constexpr int kFlows = 3000;
  for (int n = 0; n < kFlows; n++) {
    const auto port = static_cast<std::uint16_t>(20'000 + n);
    flows[send(Client({kClient.address + n % 250, port}, kService).syn()).real()]++;
  }

  EXPECT_EQ(flows.size(), 2u) << "none for the drained one";
  // 1000 expected, standard deviation 26.
  EXPECT_NEAR(flows[ipv4("10.2.0.1")], kFlows / 3, 130);
}

TEST_F(ForwardTest, VipStatisticsCountPacketsAndBytes) {
  predict(kClient, kTemperature);
  const Segment segment = Client(kClient, kService).syn();
  send(segment);
  send(segment);

  std::vector<vip_stats> per_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  const std::uint32_t vip = kTemperature;
  ASSERT_EQ(bpf_map_lookup_elem(chain_->map_fd("stats"), &vip, per_cpu.data()), 0);
  std::uint64_t packets = 0, bytes = 0;
  for (const vip_stats& cpu : per_cpu) {
    packets += cpu.packets;
    bytes += cpu.bytes;
  }
  EXPECT_EQ(packets, 2u);
  EXPECT_EQ(bytes, 2u * 40);
}

TEST_F(ForwardTest, WithoutAForwarderServicePacketsAreDropped) {
  chain_->empty_slot(SLOT_FORWARDER);

  EXPECT_TRUE(send(Client(kClient, kService).syn()).dropped());
  EXPECT_EQ(counter(COUNT_NO_FORWARDER), 1u);
}

TEST_F(ForwardTest, WithoutTheGatewaysMacServicePacketsAreDropped) {
  chain_->map<std::uint32_t, gateway>("ctl_array").put(0, {});

  EXPECT_TRUE(send(Client(kClient, kService).syn()).dropped());
  EXPECT_EQ(counter(COUNT_NO_GATEWAY), 1u);
}

TEST_F(ForwardTest, AGatewaysMacMayEndInZeros) {
  chain_->map<std::uint32_t, gateway>("ctl_array").put(0, {{0, 0, 0, 0, 0, 1}, {}});
  EXPECT_TRUE(send(Client(kClient, kService).syn()).forwarded());
  chain_->map<std::uint32_t, gateway>("ctl_array").put(0, {{2, 0, 0, 0, 0, 0}, {}});
  EXPECT_TRUE(send(Client(kClient, kService).syn()).forwarded());
}

TEST_F(ForwardTest, AGroupWithoutRealsDropsAndCounts) {
  group(kDefault, 0);

  EXPECT_TRUE(send(Client(kClient, kService).syn()).dropped());
  EXPECT_EQ(counter(COUNT_NO_REAL), 1u);
}

TEST_F(ForwardTest, ARealThatIsGoneDropsAndCounts) {
  const Client client(kClient, kService);
  ASSERT_TRUE(send(client.syn()).forwarded());
  chain_->map<std::uint32_t, struct real>("reals").put(real_index(kDefault, 1), {});

  EXPECT_TRUE(send(client.ack()).dropped());
  EXPECT_EQ(counter(COUNT_NO_REAL), 1u);
}

TEST_F(ForwardTest, ASynThatFoundNoRealIsForwardedOnceThereIsOne) {
  group(kDefault, 0);
  Client client(kClient, kService);
  ASSERT_TRUE(send(client.syn()).dropped());
  group(kDefault, 1);

  EXPECT_TRUE(send(client.syn()).forwarded());
  EXPECT_TRUE(send(client.send(connect_packet())).forwarded());
}

Segment of_ip_length(std::size_t length) {
  return data(Bytes(length - 40, 'x')).from(kClient).to(kService).seq(0x01020304);
}

TEST_F(ForwardTest, WhatFitsWithItsOuterHeaderIsForwarded) {
  const Outcome out = send(of_ip_length(kLinkMtu - 20));

  ASSERT_TRUE(out.forwarded());
  EXPECT_EQ(be16toh(out.packet.ip().tot_len), kLinkMtu);
  EXPECT_EQ(counter(COUNT_TOO_BIG), 0u);
}

// RFC 792, RFC 1191 §4: the service quotes the packet and says what fits.
TEST_F(ForwardTest, WhatDoesNotFitIsAnsweredWithFragmentationNeeded) {
  for (const std::size_t length : std::initializer_list<std::size_t>{kLinkMtu - 19, kLinkMtu}) {
    SCOPED_TRACE(length);
    const Packet sent(of_ip_length(length).frame());

    const Outcome out = send_frame(sent.bytes());

    ASSERT_EQ(out.verdict, XDP_TX);
    const Packet& answer = out.packet;
    EXPECT_EQ(answer.bytes().size(), 14u + 20 + 8 + 28);
    EXPECT_EQ(answer.destination_mac(), kGatewayMac);
    EXPECT_EQ(answer.source_mac(), kLbMac);
    EXPECT_EQ(answer.ip().protocol, IPPROTO_ICMP);
    EXPECT_EQ(answer.source(), kService.address);
    EXPECT_EQ(answer.destination(), kClient.address);
    EXPECT_EQ(be16toh(answer.ip().tot_len), 56);
    EXPECT_EQ(answer.icmp().type, ICMP_DEST_UNREACH);
    EXPECT_EQ(answer.icmp().code, ICMP_FRAG_NEEDED);
    EXPECT_EQ(be16toh(answer.icmp().un.frag.mtu), kLinkMtu - 20);
    EXPECT_EQ(answer.icmp().un.frag.__unused, 0);
    EXPECT_TRUE(answer.checksums_are_valid());
    const Bytes body = answer.ip_body();
    EXPECT_EQ(Bytes(body.begin() + 8, body.end()),
              Bytes(sent.bytes().begin() + ETH_HLEN, sent.bytes().begin() + ETH_HLEN + 28));
  }
  EXPECT_EQ(counter(COUNT_TOO_BIG), 2u);
}

TEST_F(ForwardTest, TheLimitIsTheLinks) {
  settings_.link_mtu = 1600;
  write(settings_);

  EXPECT_TRUE(send(of_ip_length(1500)).forwarded());
  EXPECT_EQ(counter(COUNT_TOO_BIG), 0u);
}

TEST_F(ForwardTest, WhatIsTooBigTeachesNothing) {
  Client client = connect();

  const Outcome out =
      send(client.at(client.sent(), publish_packet(kTemperatureTopic, std::string(1430, 'm'))));

  EXPECT_EQ(out.packet.ip().protocol, IPPROTO_ICMP);
  EXPECT_EQ(counter(COUNT_PUBLISH), 0u);
  EXPECT_FALSE(prediction_of(kClient));
}

class DecapTest : public SteerTest {
 protected:
  void SetUp() override {
    SteerTest::SetUp();
    if (IsSkipped()) return;
    decap_.reset(remora_decap__open_and_load());
    ASSERT_TRUE(decap_);
  }

  RunResult decap(const Bytes& frame) {
    return run_xdp(bpf_program__fd(decap_->progs.xdp_decap), frame);
  }

 private:
  struct Destroy {
    void operator()(remora_decap* skeleton) const { remora_decap__destroy(skeleton); }
  };
  std::unique_ptr<remora_decap, Destroy> decap_;
};

TEST_F(DecapTest, GivesBackWhatTheClientSent) {
  const Segment segment = data(bytes_of("hello")).from(kClient).to(kService).seq(9);
  const Packet wrapped = send(segment).packet;

  const RunResult out = decap(wrapped.bytes());

  EXPECT_EQ(out.verdict, XDP_PASS);
  const Packet inner(out.frame);
  EXPECT_EQ(inner.destination_mac(), wrapped.destination_mac());
  EXPECT_EQ(inner.source_mac(), wrapped.source_mac());
  EXPECT_TRUE(inner.checksums_are_valid());
  const Bytes sent = segment.frame();
  EXPECT_EQ(Bytes(out.frame.begin() + ETH_HLEN, out.frame.end()),
            Bytes(sent.begin() + ETH_HLEN, sent.end()));
}

TEST_F(DecapTest, OtherTrafficPassesUntouched) {
  const Bytes plain = data(bytes_of("x")).from(kClient).to(kService).frame();
  Bytes fragment = send_frame(plain).packet.bytes();
  fragment[20] = 0x20;
  Bytes inner6 = send_frame(plain).packet.bytes();
  inner6[34] = 0x60;
  const Bytes frames[] = {
      plain,
      ipv4_frame(kClient, kService, IPPROTO_UDP, Bytes(30, 7)),
      ipv4_frame(kClient, kService, IPPROTO_IPIP, Bytes(10, 0x45)),  // no inner header
      fragment,
      inner6,
      Bytes(60, 0),
  };
  for (const Bytes& frame : frames) {
    const RunResult out = decap(frame);
    EXPECT_EQ(out.verdict, XDP_PASS);
    EXPECT_EQ(out.frame, frame);
  }
}

}  // namespace
}  // namespace remora
