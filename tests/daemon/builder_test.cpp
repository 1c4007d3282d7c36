// SPDX-License-Identifier: Apache-2.0
//
// The packets that end a mispredicted connection, byte by byte.
#include "daemon/packets/builder.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "bpf/parse.h"

namespace remora {
namespace {

constexpr std::uint32_t kSeq = 0xfffffff0;  // wraps within the segment
constexpr std::uint32_t kAck = 0x01020304;

struct Family {
  const char* name;
  Address client;
  Endpoint service;
};

const Family kFamilies[] = {
    {"IPv4", *Address::parse("10.1.1.107"), {*Address::parse("10.1.50.200"), host_to_net16(1883)}},
    {"IPv6",
     *Address::parse("fc00:1::107"),
     {*Address::parse("fc00:50::200"), host_to_net16(1883)}},
};

const Address kReal4 = *Address::parse("10.1.3.105");
const Address kReal6 = *Address::parse("fc00:3::105");

// The one's complement sum of big-endian words: 0xffff for data that contains its correct
// checksum (RFC 1071).
std::uint32_t ones_sum(std::span<const std::uint8_t> bytes, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? std::uint32_t{bytes[i]} << 8 : bytes[i];
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

// The parts of an IP header without options.
struct Ip {
  Address source, destination;
  std::uint8_t protocol;
  bool is_sound;  // length and, in IPv4, checksum
  bool may_be_fragmented;
  std::span<const std::uint8_t> payload;
};

Ip parse_ip(std::span<const std::uint8_t> packet) {
  if (packet[0] == 0x45) {
    iphdr ip;
    std::memcpy(&ip, packet.data(), sizeof(ip));
    return {
        Address::from_ipv4(ip.saddr),
        Address::from_ipv4(ip.daddr),
        ip.protocol,
        net_to_host16(ip.tot_len) == packet.size() && ones_sum(packet.first(sizeof(ip))) == 0xffff,
        ip.frag_off == 0,
        packet.subspan(sizeof(ip))};
  }
  ipv6_header ip;
  std::memcpy(&ip, packet.data(), sizeof(ip));
  const auto payload = packet.subspan(sizeof(ip));
  return {Address(ip.source),
          Address(ip.destination),
          ip.next_header,
          packet[0] == 0x60 && net_to_host16(ip.payload_len) == payload.size() && ip.hop_limit > 0,
          false,
          payload};
}

struct Parsed {
  Ip ip;
  tcphdr tcp;
  Bytes options;
  std::string payload;
  bool checksums_are_valid;
};

Parsed parse(const Bytes& packet) {
  Parsed out{};
  out.ip = parse_ip(packet);
  const auto segment = out.ip.payload;
  std::memcpy(&out.tcp, segment.data(), sizeof(out.tcp));
  const std::size_t header = out.tcp.doff * 4U;
  out.options.assign(segment.begin() + sizeof(out.tcp),
                     segment.begin() + static_cast<std::ptrdiff_t>(header));
  out.payload.assign(segment.begin() + static_cast<std::ptrdiff_t>(header), segment.end());
  // The zero bytes and the 0xffff that precede a mapped IPv4 address do not change the sum.
  std::uint32_t pseudo = IPPROTO_TCP + static_cast<std::uint32_t>(segment.size());
  pseudo = ones_sum(out.ip.source.bytes(), pseudo);
  pseudo = ones_sum(out.ip.destination.bytes(), pseudo);
  out.checksums_are_valid =
      out.ip.protocol == IPPROTO_TCP && out.ip.is_sound && ones_sum(segment, pseudo) == 0xffff;
  return out;
}

class SegmentTest : public testing::TestWithParam<Family> {
 protected:
  const Endpoint& service() const { return GetParam().service; }
  const Address& client() const { return GetParam().client; }

  // A record of a segment in which a mispredicted PUBLISH follows `good`.
  Record record_behind(const std::string& good) {
    payload_ = good + std::string("\x30\x05\x00\x01topic", 5);
    Record record{};
    record.head.flow = {client().abi(), host_to_net16(40000), 0};
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

INSTANTIATE_TEST_SUITE_P(Of, SegmentTest, testing::ValuesIn(kFamilies),
                         [](const auto& test) { return test.param.name; });

TEST_P(SegmentTest, TheClientIsResetAsTheServiceAtWhatItAcknowledged) {
  const Bytes packet = reset_of_client(record_behind(""), service());

  const Parsed rst = parse(packet);
  EXPECT_EQ(rst.ip.source, service().address);
  EXPECT_EQ(rst.ip.destination, client());
  EXPECT_EQ(destination_of(packet), client());
  EXPECT_EQ(rst.tcp.source, service().port);
  EXPECT_EQ(rst.tcp.dest, host_to_net16(40000));
  EXPECT_EQ(net_to_host32(rst.tcp.seq), kAck);
  EXPECT_TRUE(rst.tcp.rst);
  EXPECT_FALSE(rst.tcp.ack);
  EXPECT_TRUE(rst.checksums_are_valid);
}

TEST_P(SegmentTest, AnMqtt5ClientIsToldToUseAnotherServer) {
  Record record = record_behind("");
  const Bytes timestamps{1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9};
  std::copy(timestamps.begin(), timestamps.end(), record.head.options);
  record.head.options_len = static_cast<__u8>(timestamps.size());

  const Parsed farewell = parse(farewell_to_client(record, service(), 0x9d));

  EXPECT_EQ(farewell.ip.source, service().address);
  EXPECT_EQ(farewell.ip.destination, client());
  EXPECT_EQ(farewell.tcp.source, service().port);
  EXPECT_EQ(farewell.tcp.dest, host_to_net16(40000));
  EXPECT_EQ(net_to_host32(farewell.tcp.seq), kAck);
  EXPECT_EQ(net_to_host32(farewell.tcp.ack_seq), kSeq);
  EXPECT_EQ(farewell.payload, "\xe0\x01\x9d");
  EXPECT_EQ(farewell.options, (Bytes{1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 7}));
  EXPECT_TRUE(farewell.checksums_are_valid);
}

TEST_P(SegmentTest, OneOfTwoQuestionsIsOutsideOfAnyWindow) {
  const flow_key flow{client().abi(), host_to_net16(40000), 0};

  const auto packets = questions_to_client(flow, service(), kSeq);

  ASSERT_EQ(packets.size(), 2U);
  const Parsed first = parse(packets[0]), second = parse(packets[1]);
  EXPECT_EQ(net_to_host32(second.tcp.seq) - net_to_host32(first.tcp.seq), 0x80000000);
  for (const Parsed& question : {first, second}) {
    EXPECT_EQ(question.ip.source, service().address);
    EXPECT_EQ(question.ip.destination, client());
    EXPECT_TRUE(question.tcp.ack);
    EXPECT_FALSE(question.tcp.rst);
    EXPECT_EQ(net_to_host32(question.tcp.ack_seq), kSeq);
    EXPECT_TRUE(question.payload.empty());
    EXPECT_TRUE(question.checksums_are_valid);
  }
}

TEST_P(SegmentTest, AnOldByteIsNeitherNewNorAcknowledgesWhatTheClientSent) {
  const flow_key key{client().abi(), host_to_net16(40000), 0};
  flow entry{};
  entry.edge = kSeq;
  entry.acked = kAck;

  const Parsed question = parse(old_byte_to_client(key, service(), entry));

  EXPECT_EQ(question.ip.source, service().address);
  EXPECT_EQ(question.ip.destination, client());
  EXPECT_EQ(question.payload.size(), 1U);
  EXPECT_LT(net_to_host32(question.tcp.seq) + question.payload.size(), kAck);
  EXPECT_GT(static_cast<std::int32_t>(net_to_host32(question.tcp.ack_seq) - kSeq), 0);
  EXPECT_TRUE(question.tcp.ack);
  EXPECT_FALSE(question.tcp.rst);
  EXPECT_TRUE(question.checksums_are_valid);
}

TEST_P(SegmentTest, GoodMessagesAndDisconnectReachTheBrokerBeforeTheRst) {
  const std::string good("\x30\x03\x00\x01g", 5);

  const auto ending = end_of_session(record_behind(good), service(), SessionEnd::kDisconnect);

  ASSERT_TRUE(ending.disconnect);
  const Parsed farewell = parse(*ending.disconnect);
  EXPECT_EQ(farewell.tcp.window, 0) << "the broker must keep its FIN to itself";
  EXPECT_EQ(farewell.payload, good + std::string("\xe0\x00", 2));
  EXPECT_EQ(net_to_host32(farewell.tcp.seq), kSeq);
  EXPECT_EQ(net_to_host32(farewell.tcp.ack_seq), kAck);
  EXPECT_EQ(farewell.ip.source, client());
  EXPECT_EQ(farewell.ip.destination, service().address);
  EXPECT_FALSE(farewell.tcp.rst);
  EXPECT_TRUE(farewell.checksums_are_valid);

  const Parsed rst = parse(ending.reset);
  EXPECT_TRUE(rst.tcp.rst);
  EXPECT_EQ(net_to_host32(rst.tcp.seq), kSeq + 7);
  EXPECT_TRUE(rst.payload.empty());
  EXPECT_TRUE(rst.checksums_are_valid);
}

TEST_P(SegmentTest, AnOddNumberOfGoodBytesKeepsTheChecksumRight) {
  const auto ending = end_of_session(record_behind("odd"), service(), SessionEnd::kDisconnect);

  EXPECT_TRUE(parse(*ending.disconnect).checksums_are_valid);
}

TEST_P(SegmentTest, TheLargestSegmentKeepsTheChecksumRight) {
  const auto ending = end_of_session(record_behind(std::string(MAX_SEGMENT - 5, '\xff')), service(),
                                     SessionEnd::kDisconnect);

  EXPECT_EQ(parse(*ending.disconnect).payload.size(), MAX_SEGMENT - 5 + 2U);
  EXPECT_TRUE(parse(*ending.disconnect).checksums_are_valid);
}

TEST_P(SegmentTest, APublishThatBeganEarlierLeavesOnlyTheRst) {
  Record record = record_behind("");
  record.head.flags |= EVENT_BEGAN_EARLIER;

  const auto ending = end_of_session(record, service(), SessionEnd::kDisconnect);

  EXPECT_FALSE(ending.disconnect);
  EXPECT_TRUE(parse(ending.reset).tcp.rst);
  EXPECT_EQ(net_to_host32(parse(ending.reset).tcp.seq), kSeq);
}

TEST_P(SegmentTest, BytesThatTheRecordLacksAreNotMadeUp) {
  Record record = record_behind("good");
  record.head.flags |= EVENT_TRUNCATED;
  record.data = record.data.first(2);

  EXPECT_EQ(possible_end(record), SessionEnd::kReset);
  EXPECT_FALSE(end_of_session(record, service(), SessionEnd::kDisconnect).disconnect);
}

TEST_P(SegmentTest, ResetAloneIsSentWhereTheConfigurationWantsIt) {
  EXPECT_FALSE(end_of_session(record_behind("good"), service(), SessionEnd::kReset).disconnect);
}

TEST_P(SegmentTest, TheClientsTimestampsAreRepeated) {
  Record record = record_behind("");
  const std::uint8_t options[] = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
  std::memcpy(record.head.options, options, sizeof(options));
  record.head.options_len = sizeof(options);

  const Parsed farewell =
      parse(*end_of_session(record, service(), SessionEnd::kDisconnect).disconnect);

  EXPECT_EQ(farewell.options, Bytes(std::begin(options), std::end(options)));
  EXPECT_TRUE(farewell.checksums_are_valid);
}

TEST_P(SegmentTest, BrokenOptionsAreLeftOut) {
  for (const Bytes& options :
       {Bytes{8, 10, 1}, Bytes{8, 0}, Bytes{8}, Bytes{5, 255, 0, 0},
        Bytes{0, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}, Bytes{8, 9, 1, 2, 3, 4, 5, 6, 7}}) {
    Record record = record_behind("");
    std::copy(options.begin(), options.end(), record.head.options);
    record.head.options_len = static_cast<__u8>(options.size());

    EXPECT_TRUE(parse(end_of_session(record, service(), SessionEnd::kReset).reset).options.empty());
  }
}

TEST_P(SegmentTest, TheOuterHeaderLeadsToTheReal) {
  const Bytes inner = reset_of_client(record_behind(""), service());
  const std::uint8_t protocol = service().address.is_ipv4() ? IPPROTO_IPIP : IPPROTO_IPV6;
  const Address source4 = *Address::parse("10.1.2.2"), source6 = *Address::parse("fc00:2::2");

  for (const auto& [source, real] : {std::pair(source4, kReal4), std::pair(source6, kReal6)}) {
    const Bytes packet = encapsulated(inner, record_behind("").head.flow, source, real);

    const Ip outer = parse_ip(packet);
    EXPECT_EQ(outer.source, source);
    EXPECT_EQ(outer.destination, real);
    EXPECT_EQ(destination_of(packet), real);
    EXPECT_EQ(outer.protocol, protocol);
    EXPECT_TRUE(outer.is_sound);
    EXPECT_FALSE(outer.may_be_fragmented);
    EXPECT_EQ(Bytes(outer.payload.begin(), outer.payload.end()), inner);
  }
}

// The forwarder uses the same address (xdp/forward_test.cpp has the same figures).
TEST_P(SegmentTest, WithoutAnAddressOfItsOwnTheOuterSourceIsKatrans) {
  flow_key flow = record_behind("").head.flow;
  flow.client = Address::parse("10.1.1.7")->abi();
  flow.port = host_to_net16(40'000);
  const Bytes inner = reset_of_client(record_behind(""), service());

  const Ip outer4 = parse_ip(encapsulated(inner, flow, Address(), kReal4));
  EXPECT_EQ(outer4.source, *Address::parse("172.16.65.155")) << "10.1.1.7 xor 40000's bytes";
  EXPECT_EQ(outer4.destination, kReal4);
  EXPECT_TRUE(outer4.may_be_fragmented) << "errors would find no way back";
  EXPECT_TRUE(outer4.is_sound);

  const Ip outer6 = parse_ip(encapsulated(inner, flow, Address(), kReal6));
  EXPECT_EQ(outer6.source, *Address::parse("100::9641:107"));
  EXPECT_EQ(outer6.destination, kReal6);
  EXPECT_TRUE(outer6.is_sound);
}

TEST_P(SegmentTest, KatransOuterSourceVariesWithTheFlow) {
  const Bytes inner = reset_of_client(record_behind(""), service());
  const flow_key flow = record_behind("").head.flow;
  flow_key other_port = flow;
  other_port.port = host_to_net16(40001);

  for (const Address& real : {kReal4, kReal6}) {
    EXPECT_NE(parse_ip(encapsulated(inner, flow, Address(), real)).source,
              parse_ip(encapsulated(inner, other_port, Address(), real)).source);
  }
}

TEST_P(SegmentTest, APacketForAVipKeepsItsSegment) {
  const Bytes before = reset_of_client(record_behind(""), service());
  const Address vip = *Address::parse(service().address.is_ipv4() ? "10.1.50.201" : "fc00:50::201");

  const Bytes after = readdressed(before, vip);

  const Ip ip = parse_ip(after), was = parse_ip(before);
  EXPECT_EQ(ip.destination, vip);
  EXPECT_EQ(ip.source, was.source);
  EXPECT_TRUE(ip.is_sound);
  EXPECT_TRUE(std::ranges::equal(ip.payload, was.payload));
}

}  // namespace
}  // namespace remora
