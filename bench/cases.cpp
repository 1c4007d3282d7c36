// SPDX-License-Identifier: Apache-2.0
#include "bench/cases.h"

#include <linux/if_ether.h>
#include <linux/ip.h>

#include <bit>
#include <cstddef>
#include <cstring>

#include "bench/chain.h"

namespace remora::bench {
namespace {

constexpr std::uint32_t kIsn = 1'000'000;
// From one initial sequence number of a flow to the next, so that none comes twice in a run.
constexpr std::uint32_t kNextIsn = 64'007;
constexpr std::uint32_t kScramble = 0x9e3779b1;  // odd; Knuth's, 2^32 over the golden ratio
constexpr std::uint32_t kInOrder = 1;
constexpr std::uint32_t kDefaultGroup = 0;

std::uint32_t first_payload_seq() {
  return kIsn + 1 + static_cast<std::uint32_t>(connect_packet().size());
}

shape shape_of(const Bytes& frame, std::uint32_t word_at, std::uint32_t seq) {
  shape shape{};
  std::memcpy(shape.head, frame.data(), sizeof shape.head);
  std::memcpy(&shape.word, frame.data() + word_at, sizeof shape.word);
  shape.seq = seq;
  return shape;
}

// Numbers the cases, so that each has its own clients.
class Builder {
 public:
  explicit Builder(std::uint32_t flow_bits) : flow_bits_(flow_bits) {}

  // All packets look like `frame`.
  Case& add(const std::string& name, const Bytes& frame, std::uint32_t seq) {
    return add(name, frame, seq, frame, seq, static_cast<std::uint32_t>(sizeof(shape::head)));
  }

  // Packets look like `even` and `odd` in turn, which differ only in their heads and in the word
  // at `word_at`.
  Case& add(const std::string& name, const Bytes& even, std::uint32_t even_seq, const Bytes& odd,
            std::uint32_t odd_seq, std::uint32_t word_at) {
    const auto number = static_cast<std::uint32_t>(cases_.size());
    Case& made = cases_.emplace_back();
    made.name =
        name + (flow_bits_ == 0 ? ", 1 flow" : ", " + std::to_string(1u << flow_bits_) + " flows");
    made.group = group_of(number);
    made.frame = odd;
    made.packets.shapes[0] = shape_of(even, word_at, even_seq);
    made.packets.shapes[1] = shape_of(odd, word_at, odd_seq);
    made.packets.flow_bits = flow_bits_;
    made.packets.scramble = kScramble;
    made.packets.frame_len = static_cast<std::uint32_t>(odd.size());
    made.packets.word_at = word_at;
    // Starts at 10.16/16: one network for each case and number of flows.
    made.packets.first_client = 0x0a100000u + ((flow_bits_ * 16 + number) << 16);
    return made;
  }

  Case& add_publish(const std::string& name, const std::string& topic,
                    const std::string& other_topic, std::size_t message_len) {
    const Bytes packet = publish_packet(topic, message_len);
    const Bytes other = publish_packet(other_topic, message_len);
    const auto topic_end = static_cast<std::uint32_t>(kHeaders + packet.size() - message_len);
    Case& made = add(name, segment(Flags::kPushAck, packet), first_payload_seq(),
                     segment(Flags::kPushAck, other), first_payload_seq(), topic_end - 8);
    made.packets.seq_step = static_cast<std::uint32_t>(packet.size());
    made.counted = {COUNT_PUBLISH};
    return made;
  }

  // The group of the case that is added next.
  std::uint32_t group() const { return group_of(static_cast<std::uint32_t>(cases_.size())); }

  // All cases so far begin connections, each packet or pair of packets a new one.
  void begin_connections() {
    for (Case& made : cases_) {
      made.start = Start::kNothing;
      made.packets.seq_step = kNextIsn;
    }
  }

  std::vector<Case> take() { return std::move(cases_); }

 private:
  // Never 0, which is the default group.
  static std::uint32_t group_of(std::uint32_t number) { return 1 + number % (kGroups - 1); }

  std::uint32_t flow_bits_;
  std::vector<Case> cases_;
};

}  // namespace

std::vector<Case> make_cases(std::uint32_t flow_bits) {
  const Bytes syn = segment(Flags::kSyn, {});
  const Bytes ack = segment(Flags::kAck, {});
  const Bytes connect = segment(Flags::kPushAck, connect_packet());
  Builder build(flow_bits);

  for (const Clients clients : {Clients::kKnown, Clients::kUnknown}) {
    const bool known = clients == Clients::kKnown;
    const std::string whose = known ? "" : ", unknown client";
    const counter counted = known ? COUNT_SYN_PREDICTED : COUNT_SYN_UNKNOWN;
    const auto goal = [&](double of_known) {
      return known ? std::optional(of_known) : std::nullopt;
    };
    Case& opens = build.add("syn" + whose, syn, kIsn);
    opens.clients = clients;
    if (!known) opens.group = kDefaultGroup;
    opens.counted = {COUNT_SYN, counted};
    opens.against_katran = {goal(0.8), std::nullopt};
    // The padding after the SYN is no payload: frames of one length.
    Case& establishes =
        build.add("syn and connect" + whose, padded(syn, connect.size()), kIsn, connect, kIsn + 1,
                  static_cast<std::uint32_t>(connect.size() - 8));
    establishes.clients = clients;
    if (!known) establishes.group = kDefaultGroup;
    establishes.unit = 2;
    establishes.packets.step_shift = 1;
    establishes.counted = {COUNT_SYN, counted, COUNT_ESTABLISHED};
    establishes.against_katran = {goal(1.6), std::nullopt};
  }
  build.begin_connections();
  const bool one_flow = flow_bits == 0;
  const auto only = [](bool wanted, double goal) {
    return wanted ? std::optional(goal) : std::nullopt;
  };
  {
    Case& made = build.add("ack", ack, first_payload_seq());
    made.goal = 3.0;
    made.against_katran = {one_flow ? 0.85 : 1.0, only(one_flow, 1.45)};
  }

  std::string topic = Chain::topic(build.group(), 0);
  {
    Case& made = build.add_publish("publish 100, topic 24", topic, topic, 100);
    made.goal = 3.5;
    made.against_katran = {1.0, only(one_flow, 1.55)};
  }
  topic = Chain::topic(build.group(), 0);
  build.add_publish("publish 1000, topic 24", topic, topic, 1000).goal = 3.5;
  topic = Chain::long_topic(build.group());
  build.add_publish("publish 100, topic 200", topic, topic, 100).against_katran = {
      std::nullopt, only(one_flow, 1.8)};

  const std::vector<enum counter> judged = {COUNT_PUBLISH, COUNT_JUDGED, COUNT_LEARNED};
  {
    Case& made = build.add_publish("topic changed, exact route", Chain::topic(build.group(), 1),
                                   Chain::topic(build.group(), 0), 100);
    made.counted = judged;
    made.goal = 8.0;
  }
  build
      .add_publish("topic changed, + route", Chain::door_topic(build.group(), 1),
                   Chain::door_topic(build.group(), 0), 100)
      .counted = judged;
  build
      .add_publish("topic changed, # route", Chain::prefixed_topic(build.group(), 1),
                   Chain::prefixed_topic(build.group(), 0), 100)
      .counted = judged;
  {
    Case& made = build.add("other traffic", segment(Flags::kAck, {}, 22), first_payload_seq());
    made.start = Start::kNothing;
    made.expect = Expect::kPassed;
    made.counted = {COUNT_OTHER_TRAFFIC};
    made.goal = 1.5;
  }
  return build.take();
}

Case opening(const Case& of) {
  const Bytes connect = segment(Flags::kPushAck, connect_packet());
  Case open = of;
  open.name += ", opening";
  open.frame = connect;
  open.unit = 2;
  open.counted = {COUNT_SYN, COUNT_SYN_PREDICTED, COUNT_ESTABLISHED};
  open.packets.word_at = static_cast<std::uint32_t>(sizeof(shape::head));
  open.packets.shapes[0] =
      shape_of(padded(segment(Flags::kSyn, {}), connect.size()), open.packets.word_at, kIsn);
  open.packets.shapes[1] = shape_of(connect, open.packets.word_at, kIsn + 1);
  open.packets.frame_len = static_cast<std::uint32_t>(connect.size());
  open.packets.seq_step = 0;
  open.packets.step_shift = 1;
  // Unscrambled, so that the order of the packets differs from that of the elements in memory.
  open.packets.scramble = kInOrder;
  return open;
}

Case syns_of(const Case& of) {
  Case made = of;
  made.frame = segment(Flags::kSyn, {});
  made.unit = 1;
  made.packets.word_at = static_cast<std::uint32_t>(sizeof(shape::head));
  made.packets.shapes[0] = shape_of(made.frame, made.packets.word_at, kIsn);
  made.packets.shapes[1] = made.packets.shapes[0];
  made.packets.frame_len = static_cast<std::uint32_t>(made.frame.size());
  made.packets.step_shift = 0;
  return made;
}

Case to_vip(const Case& of) {
  Case made = of;
  const __be32 vip = vip_of(of.group).ipv4();
  const auto address = [&](void* frame) {
    std::memcpy(static_cast<std::uint8_t*>(frame) + ETH_HLEN + offsetof(iphdr, daddr), &vip,
                sizeof vip);
  };
  address(made.frame.data());
  for (shape& one : made.packets.shapes) address(one.head);
  return made;
}

Case make_floor(std::uint32_t flow_bits) {
  Builder build(flow_bits);
  Case floor = build.add("floor", segment(Flags::kAck, {}), first_payload_seq());
  floor.packets.first_client = 0x0b000000u + (flow_bits << 16);  // 11.<bits>/16
  return floor;
}

}  // namespace remora::bench
