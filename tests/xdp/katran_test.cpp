// SPDX-License-Identifier: Apache-2.0
//
// Katran in the forwarder's slot: the packets that the stage passes to it. A stand-in with Katran's
// maps takes them and shows which real it chose.
#include <algorithm>

#include "katran_stand_in.skel.h"
#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

class KatranTest : public SteerTest {
 protected:
  static ChainLimits limits() {
    ChainLimits limits;
    limits.behind_katran = true;
    return limits;
  }
  KatranTest() : SteerTest(limits()) {}

  void SetUp() override {
    SteerTest::SetUp();
    if (IsSkipped()) return;
    katran_.reset(remora_katran_stand_in__open_and_load());
    ASSERT_TRUE(katran_);
    katran_in_slot();
    const std::uint32_t zero = 0;
    const gateway mac{{2, 0x42, 0x0a, 1, 0, 1}, {}};
    bpf_map_update_elem(bpf_map__fd(katran_->maps.ctl_array), &zero, &mac, BPF_ANY);
    for (const std::uint16_t number : {kDefault, kTemperature}) {
      vip(number, ipv4("10.1.51.0") + number);
      katran_ring(number);
    }
  }

  void katran_in_slot() {
    chain_->put_in_slot(SLOT_FORWARDER, bpf_program__fd(katran_->progs.stand_in));
  }

  // Adds a group's VIP to the stage and, under the same number, to Katran.
  void vip(std::uint16_t number, const IpAddress& address) {
    const auto groups = chain_->map<std::uint32_t, struct group>("groups");
    struct group group = groups.find(number).value();
    group.vip = abi_address(address);
    groups.put(number, group);

    std::array<std::uint8_t, 20> key{};  // address, port 0: any, protocol
    const IpAddress::Raw raw = address.raw();
    std::copy(raw.begin() + (address.is_ipv6() ? 0 : 12), raw.end(), key.begin());
    key[18] = IPPROTO_TCP;
    const std::uint32_t meta[2] = {0, number};
    ASSERT_EQ(bpf_map_update_elem(bpf_map__fd(katran_->maps.vip_map), key.data(), meta, BPF_ANY),
              0);
  }

  // One real, number + 1.
  void katran_ring(std::uint16_t number) {
    const std::uint32_t index = number + 1u;
    for (std::uint32_t slot = 0; slot < RING_SIZE; slot++) {
      const std::uint32_t key = number * std::uint32_t{RING_SIZE} + slot;
      bpf_map_update_elem(bpf_map__fd(katran_->maps.ch_rings), &key, &index, BPF_ANY);
    }
  }

  struct Destroy {
    void operator()(remora_katran_stand_in* skeleton) const {
      remora_katran_stand_in__destroy(skeleton);
    }
  };
  std::unique_ptr<remora_katran_stand_in, Destroy> katran_;
};

void expect_addressed_to(const Outcome& out, const Packet& before, const IpAddress& vip) {
  ASSERT_EQ(out.verdict, XDP_TX);
  EXPECT_EQ(out.packet.destination(), vip);
  EXPECT_EQ(out.packet.source(), before.source());
  EXPECT_EQ(out.packet.ip_body(), before.ip_body()) << "TCP's checksum is the service's";
  if (!out.packet.is_ipv6()) {
    const Bytes packet = out.packet.ip_packet();
    EXPECT_EQ(internet_sum(std::span(packet).first(20)), 0xffff);
  }
}

TEST_F(KatranTest, APacketGetsTheVipOfItsGroup) {
  const Segment unknown = Client(kClient, kService).syn();
  const Outcome by_default = send(unknown);
  expect_addressed_to(by_default, Packet(unknown.frame()), ipv4("10.1.51.0"));
  EXPECT_EQ(by_default.packet.source_mac()[5], kDefault + 1);

  const Peer known{kClient.address + 1, 40'000};
  predict(known, kTemperature);
  const Segment predicted = Client(known, kService).syn();
  const Outcome by_prediction = send(predicted);
  expect_addressed_to(by_prediction, Packet(predicted.frame()), ipv4("10.1.51.1"));
  EXPECT_EQ(by_prediction.packet.source_mac()[5], kTemperature + 1);
}

TEST_F(KatranTest, AnIpv6PacketGetsTheVipOfItsGroup) {
  ipv6_reals();
  vip(kDefault, ipv6("2001:db8:51::1"));
  const Segment segment = Client(kClient6, kService6).syn();

  expect_addressed_to(send(segment), Packet(segment.frame()), ipv6("2001:db8:51::1"));
}

// RFC 1624 §3. The stage computes the sum with its own code.
TEST_F(KatranTest, TheIpChecksumIsRightForAllVips) {
  for (std::uint32_t n = 0; n < 400; n++) {
    const IpAddress address = n * 0x9e3779b1 + 1;
    vip(kDefault, address);
    const Segment segment = Client({kClient.address + n, 40'000}, kService).syn();
    expect_addressed_to(send(segment), Packet(segment.frame()), address);
    if (HasFailure()) break;
  }
}

TEST_F(KatranTest, APublishIsJudgedAsEver) {
  Client client = connect();
  const Outcome out = publish(client, kTemperatureTopic);

  EXPECT_TRUE(out.is_marked());
  EXPECT_EQ(out.packet.destination(), kService.address) << "what goes to the probe stays as it is";
  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);
}

TEST_F(KatranTest, OtherTrafficReachesKatranUntouched) {
  const Bytes to_other_vip = data(bytes_of("x")).from(kClient).to({ipv4("10.9.9.9"), 80}).frame();
  const Bytes to_group_vip = Client(kClient, {ipv4("10.1.51.1"), 80}).syn().frame();

  EXPECT_EQ(send_frame(to_other_vip).packet.bytes(), to_other_vip);
  EXPECT_EQ(send_frame(to_group_vip).verdict, XDP_TX);
}

// Katran would pass them to the stack, where the VIP is unknown.
TEST_F(KatranTest, VlanTagsAreDroppedAndCounted) {
  EXPECT_TRUE(send(Client(kClient, kService).syn().tagged({{100}})).dropped());
  EXPECT_EQ(counter(COUNT_VLAN), 1u);
}

TEST_F(KatranTest, AVipOfTheOtherFamilyDropsAndCounts) {
  vip(kDefault, ipv6("2001:db8:51::1"));
  EXPECT_TRUE(send(Client(kClient, kService).syn()).dropped());
  vip(kDefault, ipv4("10.1.51.0"));
  EXPECT_TRUE(send(Client(kClient6, kService6).syn()).dropped());
  EXPECT_EQ(counter(COUNT_NO_REAL), 2u);
}

TEST_F(KatranTest, AnEmptySlotLosesPacketsAndSendsThemNowhere) {
  Client client = connect();
  chain_->empty_slot(SLOT_FORWARDER);
  EXPECT_TRUE(send(client.ack()).dropped());
  EXPECT_EQ(counter(COUNT_NO_FORWARDER), 1u);

  katran_in_slot();
  EXPECT_EQ(send(client.ack()).verdict, XDP_TX);
}

}  // namespace
}  // namespace remora
