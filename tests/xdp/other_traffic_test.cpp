// SPDX-License-Identifier: Apache-2.0
//
// What is not for a service passes byte for byte, at every place of the chain.

#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

class OtherTrafficTest : public SteerTest {
 protected:
  void expect_untouched(const Bytes& frame, const char* what) {
    const std::uint64_t before = counter(COUNT_OTHER_TRAFFIC);

    const Outcome out = send_frame(frame);

    EXPECT_EQ(out.verdict, XDP_PASS) << what;
    EXPECT_EQ(out.packet.bytes(), frame) << what;
    EXPECT_TRUE(out.metadata.empty()) << what;
    EXPECT_EQ(counter(COUNT_OTHER_TRAFFIC), before + 1) << what;
  }
};

Segment segment_to(Endpoint to) {
  return data(publish_packet("t")).from(kClient).to(to).seq(9);
}

Bytes with_ethertype(Bytes frame, std::uint8_t high, std::uint8_t low) {
  frame[12] = high;
  frame[13] = low;
  return frame;
}

TEST_F(OtherTrafficTest, PassesByteForByte) {
  const Bytes ours = segment_to(kService).frame();
  expect_untouched(ipv4_frame(kClient, kService, IPPROTO_UDP, Bytes(30, 7)), "UDP to the service");
  expect_untouched(ipv4_frame(kClient, kService, IPPROTO_ICMP, Bytes(30, 8)), "ICMP");
  expect_untouched(ipv4_frame(kClient, kService, IPPROTO_IPIP, Bytes(60, 0x45)), "IPIP");
  expect_untouched(with_ethertype(ours, 0x08, 0x06), "ARP");
  expect_untouched(with_ethertype(ours, 0x86, 0xdd), "IPv6");
  expect_untouched(with_ethertype(ours, 0x81, 0x00), "VLAN");
  expect_untouched(segment_to({kService.address, 22}).frame(), "another port");
  expect_untouched(segment_to({kService.address, 0x5b07}).frame(), "the port, bytes swapped");
  expect_untouched(segment_to({kService.address + 1, 1883}).frame(), "another address");
  expect_untouched(syn().from(kClient).to({kService.address, 8883}).frame(), "a SYN elsewhere");
  expect_untouched(data({}).from({kClient.address, 1883}).to({kService.address, 40'000}).frame(),
                   "the service's port as source");
}

TEST_F(OtherTrafficTest, OptionsAndFragmentsElsewherePassToo) {
  const Endpoint elsewhere{kService.address, 80};
  expect_untouched(segment_to(elsewhere).ip_options({7, 3, 4}).frame(), "IPv4 options");
  expect_untouched(segment_to(elsewhere).fragment(0x2000).frame(), "first fragment");
  expect_untouched(segment_to(elsewhere).fragment(0x2010).frame(), "later fragment");
  expect_untouched(segment_to(elsewhere).claiming_ip_length(1400).frame(), "truncated");
  expect_untouched(data(Bytes(1460, 'x')).from(kClient).to(elsewhere).frame(), "full size");
}

TEST_F(OtherTrafficTest, FramesTooShortForPortsPass) {
  const Bytes whole = segment_to(kService).frame();
  for (const std::ptrdiff_t size : {14, 20, 33, 34, 38, 53}) {
    SCOPED_TRACE(size);
    expect_untouched(Bytes(whole.begin(), whole.begin() + size), "cut");
  }
}

TEST_F(OtherTrafficTest, PassesWhileTheSlotsAreEmpty) {
  const Bytes ssh = segment_to({kService.address, 22}).frame();

  chain_->empty_slot(SLOT_FORWARDER);
  expect_untouched(ssh, "no forwarder");

  chain_->empty_slot(SLOT_MQTT);
  const Outcome out = send_frame(ssh);
  EXPECT_EQ(out.verdict, XDP_PASS);
  EXPECT_EQ(out.packet.bytes(), ssh);
}

// The forwarder acts only on what the stage handed to it for this very packet.
TEST_F(OtherTrafficTest, FollowsServiceTrafficUntouched) {
  ASSERT_TRUE(send(Client(kClient, kService).syn()).forwarded());
  expect_untouched(segment_to({kService.address, 22}).frame(), "after a forwarded packet");

  chain_->empty_slot(SLOT_FORWARDER);
  ASSERT_TRUE(send(Client(kClient, kService).syn()).dropped());
  chain_->put_in_slot(SLOT_FORWARDER, chain_->forwarder_fd());
  expect_untouched(segment_to({kService.address, 22}).frame(), "after a dropped one");
}

TEST_F(OtherTrafficTest, WithoutTheStageTheServiceIsOtherTrafficToo) {
  chain_->empty_slot(SLOT_MQTT);
  const Bytes frame = segment_to(kService).frame();

  const Outcome out = send_frame(frame);

  EXPECT_EQ(out.verdict, XDP_PASS);
  EXPECT_EQ(out.packet.bytes(), frame);
}

struct Refused {
  const char* what;
  Segment segment;
  enum counter counter;
};

TEST_F(OtherTrafficTest, WhatCannotBeSteeredIsDroppedAndCounted) {
  const Refused cases[] = {
      {"IPv4 options", segment_to(kService).ip_options({7, 3, 4}), COUNT_IP_OPTIONS},
      {"first fragment", segment_to(kService).fragment(0x2000), COUNT_FRAGMENT},
      {"IP length beyond the frame", segment_to(kService).claiming_ip_length(200), COUNT_TRUNCATED},
      {"IP length below the headers", segment_to(kService).claiming_ip_length(30), COUNT_TRUNCATED},
  };
  for (const Refused& refused : cases) {
    EXPECT_TRUE(send(refused.segment).dropped()) << refused.what;
    EXPECT_GE(counter(refused.counter), 1u) << refused.what;
  }
  EXPECT_EQ(counter(COUNT_TRUNCATED), 2u);
  EXPECT_EQ(counter(COUNT_OTHER_TRAFFIC), 0u);
}

// Without ports nobody can tell whose it is; the host's own stack drops it.
TEST_F(OtherTrafficTest, LaterFragmentsToTheServicePass) {
  expect_untouched(segment_to(kService).fragment(0x2010).frame(), "later fragment");
}

}  // namespace
}  // namespace remora
