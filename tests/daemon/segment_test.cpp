// SPDX-License-Identifier: Apache-2.0
//
// The packets that end a mispredicted connection, byte by byte.
#include "daemon/segment.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>
#include <string>

#include "bpf/parse.h"

namespace remora {
namespace {

constexpr std::uint32_t kSeq = 0xfffffff0;  // wraps within the segment
constexpr std::uint32_t kAck = 0x01020304;

const Endpoint kService{*Address::parse("10.1.50.200"), host_to_net16(1883)};
const Address kClient = *Address::parse("10.1.1.107");
const Address kReal = *Address::parse("10.1.3.105");

// The one's complement sum of big-endian words: 0xffff over data with a right
// checksum in it (RFC 1071).
std::uint32_t ones_sum(const std::uint8_t* bytes, std::size_t count, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i < count; ++i) {
    sum += i % 2 == 0 ? std::uint32_t{bytes[i]} << 8 : bytes[i];
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

struct Parsed {
  iphdr ip;
  tcphdr tcp;
  Bytes options;
  std::string payload;
  bool checksums_are_valid;
};

Parsed parse(const Bytes& packet) {
  Parsed out{};
  std::memcpy(&out.ip, packet.data(), sizeof(out.ip));
  std::memcpy(&out.tcp, packet.data() + sizeof(out.ip), sizeof(out.tcp));
  const std::size_t header = out.tcp.doff * 4U;
  const auto at = [&](std::size_t offset) {
    return packet.begin() + static_cast<std::ptrdiff_t>(sizeof(out.ip) + offset);
  };
  out.options.assign(at(sizeof(out.tcp)), at(header));
  out.payload.assign(at(header), packet.end());
  const std::size_t tcp_bytes = packet.size() - sizeof(out.ip);
  const std::uint32_t pseudo =
      ones_sum(packet.data() + 12, 8, IPPROTO_TCP + static_cast<std::uint32_t>(tcp_bytes));
  out.checksums_are_valid = ones_sum(packet.data(), sizeof(out.ip)) == 0xffff &&
                            ones_sum(packet.data() + sizeof(out.ip), tcp_bytes, pseudo) == 0xffff &&
                            net_to_host16(out.ip.tot_len) == packet.size();
  return out;
}

class SegmentTest : public testing::Test {
 protected:
  // A segment whose mispredicted PUBLISH stands behind `good`.
  Record record_behind(const std::string& good) {
    payload_ = good + std::string("\x30\x05\x00\x01topic", 5);
    Record record{};
    record.head.flow = {kClient.abi(), host_to_net16(40000), 0};
    record.head.seq = kSeq;
    record.head.ack = kAck;
    record.head.publish_offset = static_cast<__u16>(good.size());
    record.head.flags = EVENT_SEGMENT;
    record.head.data_len = static_cast<__u16>(payload_.size());
    record.data = {reinterpret_cast<const std::uint8_t*>(payload_.data()), payload_.size()};
    return record;
  }

  std::string payload_;
};

TEST_F(SegmentTest, TheClientIsResetAsTheServiceAtWhatItAcknowledged) {
  const Parsed rst = parse(reset_of_client(record_behind(""), kService));

  EXPECT_EQ(rst.ip.saddr, kService.address.ipv4());
  EXPECT_EQ(rst.ip.daddr, kClient.ipv4());
  EXPECT_EQ(rst.tcp.source, kService.port);
  EXPECT_EQ(rst.tcp.dest, host_to_net16(40000));
  EXPECT_EQ(net_to_host32(rst.tcp.seq), kAck);
  EXPECT_TRUE(rst.tcp.rst);
  EXPECT_FALSE(rst.tcp.ack);
  EXPECT_TRUE(rst.checksums_are_valid);
}

TEST_F(SegmentTest, GoodMessagesAndDisconnectReachTheBrokerBeforeTheRst) {
  const std::string good("\x30\x03\x00\x01g", 5);

  const auto packets = end_of_session(record_behind(good), kService, SessionEnd::kDisconnect);

  ASSERT_EQ(packets.size(), 2U);
  const Parsed farewell = parse(packets[0]);
  EXPECT_EQ(farewell.payload, good + std::string("\xe0\x00", 2));
  EXPECT_EQ(net_to_host32(farewell.tcp.seq), kSeq);
  EXPECT_EQ(net_to_host32(farewell.tcp.ack_seq), kAck);
  EXPECT_EQ(farewell.ip.saddr, kClient.ipv4());
  EXPECT_EQ(farewell.ip.daddr, kService.address.ipv4());
  EXPECT_FALSE(farewell.tcp.rst);
  EXPECT_TRUE(farewell.checksums_are_valid);

  const Parsed rst = parse(packets[1]);
  EXPECT_TRUE(rst.tcp.rst);
  EXPECT_EQ(net_to_host32(rst.tcp.seq), kSeq + 7);
  EXPECT_TRUE(rst.payload.empty());
  EXPECT_TRUE(rst.checksums_are_valid);
}

TEST_F(SegmentTest, AnOddNumberOfGoodBytesKeepsTheChecksumRight) {
  const auto packets = end_of_session(record_behind("odd"), kService, SessionEnd::kDisconnect);

  EXPECT_TRUE(parse(packets[0]).checksums_are_valid);
}

TEST_F(SegmentTest, APublishThatBeganEarlierLeavesOnlyTheRst) {
  Record record = record_behind("");
  record.head.flags |= EVENT_BEGAN_EARLIER;

  const auto packets = end_of_session(record, kService, SessionEnd::kDisconnect);

  ASSERT_EQ(packets.size(), 1U);
  EXPECT_TRUE(parse(packets[0]).tcp.rst);
  EXPECT_EQ(net_to_host32(parse(packets[0]).tcp.seq), kSeq);
}

TEST_F(SegmentTest, BytesThatTheRecordLacksAreNotMadeUp) {
  Record record = record_behind("good");
  record.head.flags |= EVENT_TRUNCATED;
  record.data = record.data.first(2);

  EXPECT_EQ(possible_end(record), SessionEnd::kReset);
  EXPECT_EQ(end_of_session(record, kService, SessionEnd::kDisconnect).size(), 1U);
}

TEST_F(SegmentTest, ResetAloneIsSentWhereTheConfigurationWantsIt) {
  EXPECT_EQ(end_of_session(record_behind("good"), kService, SessionEnd::kReset).size(), 1U);
}

TEST_F(SegmentTest, TheClientsTimestampsAreRepeated) {
  Record record = record_behind("");
  const std::uint8_t options[] = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
  std::memcpy(record.head.options, options, sizeof(options));
  record.head.options_len = sizeof(options);

  const auto packets = end_of_session(record, kService, SessionEnd::kDisconnect);

  EXPECT_EQ(parse(packets[0]).options, Bytes(std::begin(options), std::end(options)));
  EXPECT_TRUE(parse(packets[0]).checksums_are_valid);
}

TEST_F(SegmentTest, BrokenOptionsAreLeftOut) {
  for (const Bytes& options :
       {Bytes{8, 10, 1}, Bytes{8, 0}, Bytes{8}, Bytes{5, 255, 0, 0},
        Bytes{0, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}, Bytes{8, 9, 1, 2, 3, 4, 5, 6, 7}}) {
    Record record = record_behind("");
    std::copy(options.begin(), options.end(), record.head.options);
    record.head.options_len = static_cast<__u8>(options.size());

    EXPECT_TRUE(parse(end_of_session(record, kService, SessionEnd::kReset)[0]).options.empty());
  }
}

TEST_F(SegmentTest, TheOuterHeaderLeadsToTheReal) {
  const Bytes inner = reset_of_client(record_behind(""), kService);

  const Bytes packet = encapsulated(inner, kReal);

  iphdr outer;
  std::memcpy(&outer, packet.data(), sizeof(outer));
  EXPECT_EQ(outer.protocol, IPPROTO_IPIP);
  EXPECT_EQ(outer.daddr, kReal.ipv4());
  EXPECT_EQ(net_to_host16(outer.tot_len), packet.size());
  EXPECT_EQ(Bytes(packet.begin() + sizeof(outer), packet.end()), inner);
}

}  // namespace
}  // namespace remora
