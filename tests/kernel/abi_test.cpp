// SPDX-License-Identifier: Apache-2.0
//
// Conversion of entries from one ABI to the next.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "daemon/kernel/abi/chain.h"
#include "daemon/kernel/abi/from_4.h"
#include "tests/support/abi_4_pins.h"
#include "tests/support/seeds.h"

namespace remora {
namespace {

constexpr std::uint32_t kRounds = 1000;

Fd no_pin(std::string_view) {
  return {};
}

template <class T>
T random_bytes(std::mt19937_64& random) {
  T value;
  auto* bytes = reinterpret_cast<unsigned char*>(&value);
  std::generate_n(bytes, sizeof(value), [&] { return static_cast<unsigned char>(random()); });
  return value;
}

template <class T>
EntryView view(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

template <class T>
T read(EntryView bytes) {
  EXPECT_EQ(bytes.size(), sizeof(T));
  T value;
  std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

// A flow as the packet path of ABI 4 may have left it.
abi4::flow random_flow(std::mt19937_64& random) {
  auto old = random_bytes<abi4::flow>(random);
  old.real %= 4096;
  old.pad = 0;
  return old;
}

TEST(AbiChainTest, LeadsFromEachKnownAbiToToday) {
  EXPECT_FALSE(AbiChain::from(abi4::kAbi - 1, no_pin));
  EXPECT_FALSE(AbiChain::from(0, no_pin)) << "pins without a number";
  EXPECT_FALSE(AbiChain::from(REMORA_ABI + 1, no_pin)) << "of a later version";
  EXPECT_TRUE(AbiChain::from(abi4::kAbi, no_pin)->converter_of("flows").changes());
  EXPECT_FALSE(AbiChain::from(abi4::kAbi, no_pin)->converter_of("names").changes());
  EXPECT_FALSE(AbiChain::from(REMORA_ABI, no_pin)->converter_of("flows").changes());
}

TEST(MapConverterTest, WithoutStepsAnEntryStaysAsItIs) {
  const std::uint32_t key = 1, value = 2;

  const auto entry = MapConverter().convert(view(key), view(value));

  EXPECT_EQ(read<std::uint32_t>(entry->key), 1U);
  EXPECT_EQ(read<std::uint32_t>(entry->value), 2U);
}

TEST(MapConverterTest, TakesTheStepsInTheirOrder) {
  const auto widen = [](const __u16& key, const __u16& value, __u32& new_key, __u32& new_value) {
    new_key = key;
    new_value = value * 10U;
    return value != 7;
  };
  const auto add_one = [](const __u32& key, const __u32& value, __u32& new_key, __u64& new_value) {
    new_key = key + 1;
    new_value = value + 1;
    return value != 80;
  };
  MapConverter converter({convert_entries<__u16, __u16, __u32, __u32>("m", widen),
                          convert_entries<__u32, __u32, __u32, __u64>("m", add_one)});
  const auto convert = [&](__u16 key, __u16 value) {
    return converter.convert(view(key), view(value));
  };

  EXPECT_TRUE(converter.takes(2, 2));
  EXPECT_FALSE(converter.takes(4, 4)) << "of the second step";
  for (int i = 0; i < 2; ++i) {  // the second time with the same memory
    const auto entry = convert(3, 5);
    ASSERT_TRUE(entry);
    EXPECT_EQ(read<__u32>(entry->key), 4U);
    EXPECT_EQ(read<__u64>(entry->value), 51U);
  }
  EXPECT_FALSE(convert(3, 7)) << "left out by the first step";
  EXPECT_FALSE(convert(3, 8)) << "left out by the second one";
}

TEST(FromAbi4Test, AFlowKeepsAllThatItHad) {
  const auto [first, rounds] = seeds(kRounds);
  for (std::uint32_t seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE(again(seed));
    std::mt19937_64 random(seed);
    abi4::flow old = random_flow(random);

    const flow now = flow_from_4(old);

    // The early segments themselves are not taken over: the flow is judged again from a PUBLISH
    // of a known topic on.
    old.early = 0;
    if (old.state != FLOW_HALF_OPEN) old.flags |= FLOW_PROVEN;
    const abi4::flow back = flow_of_abi_4(now);
    ASSERT_EQ(std::memcmp(&back, &old, sizeof(old)), 0);
  }
}

TEST(FromAbi4Test, APredictionKeepsItsTopicAndGroupAndTheOrderOfLessons) {
  constexpr std::uint64_t kUpNs = 400'000'000'000;
  const LessonClock clock(kUpNs, 1'774'440'000'000, 0, 0);
  const auto converted = [&](std::uint64_t seen_at_ns) {
    const abi4::prediction old{
        .topic_hash = 0x77'0000'0000'0000'05, .seen_at_ns = seen_at_ns, .group = 3, .pad = {}};
    return prediction_from_4(old, clock);
  };

  const prediction now = converted(kUpNs);

  EXPECT_EQ(now.group, 3);
  EXPECT_EQ(now.topic_hash, 0x77'0000'0000'0000'05U);
  EXPECT_EQ(now.flags, PREDICTION_TOLD) << "or each client would be reported once more";
  EXPECT_EQ(now.time, static_cast<std::uint32_t>(clock.at(kUpNs)));
  EXPECT_EQ(now.time - converted(kUpNs - 60'000'000'000).time, 60U * 16);
  EXPECT_TRUE(is_later(now.time, converted(1).time)) << "from the history, of before the boot";
}

TEST(FromAbi4Test, WhatAFlowDidNotHaveIsZeroOrUnknown) {
  const auto [first, rounds] = seeds(kRounds);
  for (std::uint32_t seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE(again(seed));
    std::mt19937_64 random(seed);
    const flow now = flow_from_4(random_flow(random));
    ASSERT_EQ(now.acked, 0U);
    ASSERT_EQ(now.connect_ack, 0U);
    ASSERT_EQ(now.broker_end, 0U);
    ASSERT_EQ(now.syn_offer, 0);
    ASSERT_EQ(now.keep_alive, 0);
    ASSERT_EQ(now.open_qos2, now.state == FLOW_HALF_OPEN ? 0 : QOS2_UNKNOWN);
    ASSERT_EQ(now.spent, 0);
    ASSERT_EQ(now.flags >> 8, 0);
    ASSERT_EQ(now.stream.flags & ~abi4::kStreamFlags, 0U);
  }
}

TEST(FromAbi4Test, GapsThatWereTooManyToCountStillAre) {
  abi4::flow old{};
  for (const auto& [before, now] : {std::pair(0U, 0), {30U, 30}, {31U, MAX_GAPS}}) {
    old.stream.flags = static_cast<__u8>(before << abi4::kStreamGapShift | STREAM_MQTT5);
    EXPECT_EQ(flow_from_4(old).gaps, now);
    EXPECT_EQ(flow_from_4(old).stream.flags, STREAM_MQTT5);
  }
}

TEST(FromAbi4Test, ARealThatDoesNotFitIsPickedAnew) {
  abi4::flow old{};
  old.real = 0x10000;
  EXPECT_EQ(flow_from_4(old).real, 0);
}

TEST(FromAbi4Test, APlaceKeepsItsKeyAndItsNumber) {
  MapConverter converter = AbiChain::from(abi4::kAbi, no_pin)->converter_of("flows");
  ASSERT_TRUE(converter.takes(sizeof(__u32), sizeof(abi4::flow_place)));
  const auto [first, rounds] = seeds(kRounds);
  for (std::uint32_t seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE(again(seed));
    std::mt19937_64 random(seed);
    abi4::flow_place old{};
    old.key = random_bytes<abi4::flow_key>(random);
    old.flow = random_flow(random);
    const auto number = static_cast<__u32>(random());

    const auto entry = converter.convert(view(number), view(old));

    ASSERT_TRUE(entry);
    ASSERT_EQ(read<__u32>(entry->key), number);
    const auto now = read<flow_place>(entry->value);
    ASSERT_EQ(std::memcmp(&now.key, &old.key, sizeof(old.key)), 0);
    const flow converted = flow_from_4(old.flow);
    ASSERT_EQ(std::memcmp(&now.flow, &converted, sizeof(converted)), 0);
  }
}

TEST(FromAbi4Test, ARecordKeepsItsHeadAndItsData) {
  MapConverter converter = AbiChain::from(abi4::kAbi, no_pin)->converter_of("events");
  ASSERT_TRUE(converter.takes(0, 0));
  const auto [first, rounds] = seeds(kRounds);
  for (std::uint32_t seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE(again(seed));
    std::mt19937_64 random(seed);
    const auto old = random_bytes<abi4::event>(random);
    EntryBytes record(sizeof(old) + random() % 100);
    std::ranges::generate(record, [&] { return static_cast<std::byte>(random()); });
    std::memcpy(record.data(), &old, sizeof(old));

    const auto entry = converter.convert({}, record);

    ASSERT_TRUE(entry);
    ASSERT_EQ(entry->value.size() - sizeof(event), record.size() - sizeof(old));
    const auto now = read<event>(entry->value.first(sizeof(event)));
    ASSERT_EQ(now.seen_at_ns, old.seen_at_ns);
    ASSERT_EQ(std::memcmp(&now.flow, &old.flow, sizeof(old.flow)), 0);
    ASSERT_EQ(now.seq, old.seq);
    ASSERT_EQ(now.ack, old.ack);
    ASSERT_EQ(now.real, old.real);
    ASSERT_EQ(now.publish_offset, old.publish_offset);
    ASSERT_EQ(now.from_group, old.from_group);
    ASSERT_EQ(now.to_group, old.to_group);
    ASSERT_EQ(now.topic_offset, old.topic_offset);
    ASSERT_EQ(now.topic_len, old.topic_len);
    ASSERT_EQ(now.data_len, old.data_len);
    ASSERT_EQ(now.action, old.action);
    ASSERT_EQ(now.flags, old.flags);
    ASSERT_EQ(now.options_len, old.options_len);
    ASSERT_TRUE(std::ranges::equal(now.options, old.options));
    ASSERT_EQ(now.window, 0);
    ASSERT_EQ(now.isn, 0U);
    ASSERT_EQ(now.time, 0U);
    ASSERT_EQ(now.reason, 0);
    ASSERT_TRUE(std::ranges::equal(entry->value.subspan(sizeof(event)),
                                   EntryView(record).subspan(sizeof(old))));
  }
}

TEST(FromAbi4Test, ARecordThatIsTooShortIsLeftOut) {
  MapConverter converter = AbiChain::from(abi4::kAbi, no_pin)->converter_of("events");
  EXPECT_FALSE(converter.convert({}, EntryBytes(sizeof(abi4::event) - 1)));
}

}  // namespace
}  // namespace remora
