// SPDX-License-Identifier: Apache-2.0
//
// Full tables: some connections are not tracked or recorded, a counter shows it, and traffic
// continues.
#include <functional>

#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

class FewFlowsTest : public SteerTest {
 protected:
  FewFlowsTest() : SteerTest({.flows = 4}) {}
};

// A topic without a route, which belongs to the default group.
constexpr std::string_view kOther = "other";

Peer numbered_client(std::uint32_t n) {
  return {ipv4("10.9.0.0") + n, 40'000};
}

TEST_F(FewFlowsTest, AFullTableCostsTrackingAndNothingElse) {
  std::vector<Client> tracked;
  for (std::uint32_t n = 0; n < 4; n++) {
    tracked.push_back(connect(numbered_client(n)));
    publish(tracked.back(), kOther);
  }
  ASSERT_EQ(counter(COUNT_ESTABLISHED), 4u);
  predict(numbered_client(9), kTemperature);

  Client late(numbered_client(9), kService);
  EXPECT_EQ(send(late.syn()).group(), kTemperature);
  EXPECT_EQ(send(late.ack()).group(), kTemperature);
  EXPECT_EQ(send(late.send(connect_packet())).group(), kTemperature);
  EXPECT_EQ(publish(late, kHumidityTopic).group(), kTemperature) << "not judged";
  EXPECT_EQ(publish(late, kHumidityTopic).group(), kTemperature);

  EXPECT_EQ(counter(COUNT_FLOW_TABLE_FULL), 1u);
  EXPECT_EQ(counter(COUNT_GAVE_WAY), 0u);
  EXPECT_EQ(counter(COUNT_MISPREDICT), 0u);
  for (const Client& client : tracked) EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
  EXPECT_EQ(counts_of(numbered_client(9))->connections, 0u);
}

TEST_F(FewFlowsTest, AFullTableStillTakesAReconnectOnTheSamePort) {
  for (std::uint32_t n = 0; n < 4; n++) connect(numbered_client(n));

  const Client again = connect_and_answer(numbered_client(0), 777'000);

  EXPECT_EQ(flow_of(again)->isn, again.isn());
  EXPECT_EQ(counter(COUNT_FLOW_TABLE_FULL), 0u);
}

TEST_F(FewFlowsTest, AFloodOfSynsEvictsNoEstablishedConnection) {
  predict(kClient, kTemperature);
  Client client = connect();
  predict(kClient, kHumidity);

  for (std::uint32_t n = 0; n < 20'000; n++) send(Client(numbered_client(n), kService, n).syn());

  EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
  EXPECT_EQ(publish(client, kTemperatureTopic).group(), kTemperature);
  EXPECT_EQ((chain_->map<flow_key, __u32>("places").size()), 1u);
  EXPECT_LE(chain_->half_open().size(), 2048u);
}

// With the default number of half-open connections.
class SynFloodTest : public SteerTest {
 protected:
  SynFloodTest() : SteerTest({.flows = 2048, .half_open = 65'536, .clients = 4096}) {}
};

// Half-open connections of strangers give way to the SYNs of known clients.
TEST_F(SynFloodTest, AFloodOfSynsCostsKnownClientsNothing) {
  constexpr std::uint32_t kKnown = 1000, kForged = 200'000;
  std::vector<Client> known;
  for (std::uint32_t n = 0; n < kKnown; n++) {
    predict(numbered_client(n), kTemperature);
    known.emplace_back(numbered_client(n), kService, 5000 + n);
    send(known.back().syn());
  }

  for (std::uint32_t n = 0; n < kForged; n++)
    send(Client({ipv4("172.16.0.0") + n, 40'000}, kService, n).syn());

  std::uint32_t tracked = 0;
  for (Client& client : known) {
    send(client.ack());
    const bool is_there = send(client.send(connect_packet())).group() == kTemperature;
    tracked += is_there && flow_of(client) && flow_of(client)->group == kTemperature ? 1 : 0;
  }
  EXPECT_GE(tracked, kKnown * 999 / 1000);
  EXPECT_EQ(counter(COUNT_ESTABLISHED), tracked);
}

// A forged connection has two packets: a SYN and a CONNECT, from an address that is made up.
class ForgedFlowsTest : public SteerTest {
 protected:
  static constexpr std::uint32_t kFlows = 64;

  ForgedFlowsTest() : SteerTest({.flows = kFlows}) {}

  void forge(std::uint32_t n) {
    Client forged(numbered_client(n), kService, n);
    send(forged.syn());
    send(forged.send(connect_packet()));
  }

  std::size_t tracked() { return chain_->map<flow_key, __u32>("places").size(); }
};

TEST_F(ForgedFlowsTest, GiveWayToANewConnection) {
  for (std::uint32_t n = 0; n < kFlows; n++) forge(n);
  ASSERT_EQ(tracked(), kFlows);

  Client client = connect();

  ASSERT_TRUE(flow_of(client));
  EXPECT_TRUE(publish(client, kTemperatureTopic).is_marked()) << "it is judged";
  EXPECT_EQ(counter(COUNT_GAVE_WAY), 1u);
  EXPECT_EQ(counter(COUNT_FLOW_TABLE_FULL), 0u);
  EXPECT_EQ(tracked(), kFlows);
}

TEST_F(ForgedFlowsTest, GiveWayToEachOtherAndNotToWhatWentBeyondItsConnect) {
  std::vector<Client> clients;
  for (std::uint32_t n = 0; n < kFlows / 2; n++) {
    clients.push_back(connect({ipv4("10.1.1.0") + n, 40'000}));
    publish(clients.back(), kOther);
  }

  for (std::uint32_t n = 0; n < 10'000; n++) forge(n);

  EXPECT_EQ(counter(COUNT_GAVE_WAY), 10'000u - kFlows / 2);
  EXPECT_EQ(counter(COUNT_FLOW_TABLE_FULL), 0u);
  for (Client& client : clients) {
    ASSERT_TRUE(flow_of(client));
    EXPECT_EQ(publish(client, kOther).group(), kDefault);
  }
  EXPECT_EQ(counter(COUNT_NO_FLOW), 0u);
  EXPECT_EQ(tracked(), kFlows);
}

TEST_F(ForgedFlowsTest, TheOneThatIsSilentForLongestGivesWay) {
  Client client = connect();  // last seen at its PUBLISH
  for (std::uint32_t n = 1; n < kFlows; n++) forge(n);
  const auto age = [&](std::uint32_t n, std::uint64_t by_ns) {
    const flow_key key = key_of(Client(numbered_client(n), kService));
    flow entry = chain_->flows().find(key).value();
    entry.seen_at_ns -= by_ns;
    chain_->flows().put(key, entry);
  };
  age(7, 2'000'000'000);
  age(8, 1'000'000'000);

  forge(kFlows);

  EXPECT_TRUE(flow_of(client));
  EXPECT_FALSE(flow_of(Client(numbered_client(7), kService)));
  EXPECT_TRUE(flow_of(Client(numbered_client(8), kService)));
}

TEST_F(ForgedFlowsTest, WhatGaveWayIsNoConnectionOfItsClientAnyMore) {
  for (std::uint32_t n = 0; n < kFlows; n++) forge(n);
  connect();

  std::uint32_t connections = 0;
  for (std::uint32_t n = 0; n < kFlows; n++)
    connections += counts_of(numbered_client(n))->connections;

  EXPECT_EQ(connections, kFlows - 1);
}

TEST_F(ForgedFlowsTest, ARepeatedConnectIsNotBeyondIt) {
  Client client(kClient, kService);
  send(client.syn());
  const Segment connect = client.send(connect_packet());
  for (int i = 0; i < 3; i++) send(connect);
  EXPECT_FALSE(flow_of(client)->flags & FLOW_PROVEN);

  send(client.send(pingreq_packet()));
  EXPECT_TRUE(flow_of(client)->flags & FLOW_PROVEN);
}

// When the table is nearly full, every client is questioned.
class NearlyFullTest : public ForgedFlowsTest {
 protected:
  void SetUp() override {
    ForgedFlowsTest::SetUp();
    if (IsSkipped()) return;
    settings_.asks_all = 1;
    write(settings_);
  }

  // Forges connections with many packets each, but without an answer to questions.
  void forge_at_length(std::uint32_t n) {
    Client forged(numbered_client(n), kService, n);
    for (int i = 0; i < 2; i++) send(forged.syn());
    send(forged.send(connect_packet()));
    for (int i = 0; i < 5; i++) send(forged.send(pingreq_packet()));
  }
};

TEST_F(NearlyFullTest, ForgedConnectionsGiveWayWhateverTheySend) {
  for (std::uint32_t n = 0; n < kFlows; n++) forge_at_length(n);
  ASSERT_EQ(tracked(), kFlows);

  Client client = connect_and_answer(kClient, 1000);
  ASSERT_TRUE(flow_of(client));
  publish(client, kOther);
  for (std::uint32_t n = 0; n < 1000; n++) forge_at_length(1000 + n);

  EXPECT_TRUE(flow_of(client));
  EXPECT_EQ(counter(COUNT_FLOW_TABLE_FULL), 0u);
  EXPECT_EQ(counter(COUNT_GAVE_WAY), 1001u);
}

TEST_F(NearlyFullTest, WhoAnswersIsTrackedForGood) {
  std::vector<Client> clients;
  for (std::uint32_t n = 0; n < kFlows; n++) {
    clients.push_back(connect_and_answer(numbered_client(n), 1000));
    publish(clients.back(), kOther);
  }

  forge_at_length(kFlows);

  EXPECT_EQ(counter(COUNT_ASKED), kFlows + 1);
  EXPECT_EQ(counter(COUNT_ANSWERED), kFlows);
  EXPECT_EQ(counter(COUNT_GAVE_WAY), 0u);
  for (const Client& client : clients) EXPECT_TRUE(flow_of(client));
}

class LimitsTest : public SteerTest {};

TEST_F(LimitsTest, ConnectionsOfOneClientAreCapped) {
  settings_.connections_per_client = 2;
  write(settings_);
  Client first = connect({kClient.address, 40'001});
  connect({kClient.address, 40'002});

  Client third = connect({kClient.address, 40'003});

  EXPECT_FALSE(flow_of(third));
  EXPECT_EQ(counter(COUNT_CLIENT_CONNECTIONS), 1u);
  EXPECT_TRUE(publish(third, kTemperatureTopic).forwarded());
  EXPECT_FALSE(prediction_of(kClient)) << "an untracked connection teaches nothing";
  EXPECT_TRUE(flow_of(connect({kClient.address + 1, 40'004}))) << "others are not concerned";

  send(first.fin());
  EXPECT_TRUE(flow_of(connect({kClient.address, 40'005}))) << "there is room again";
  EXPECT_EQ(counts_of(kClient)->connections, 2u);
}

TEST_F(LimitsTest, AReconnectOnTheSamePortIsNoSecondConnection) {
  settings_.connections_per_client = 1;
  write(settings_);
  connect(kClient, 1000);

  const Client again = connect_and_answer(kClient, 2000);

  EXPECT_EQ(flow_of(again)->isn, 2000u);
  EXPECT_EQ(counts_of(kClient)->connections, 1u);
  EXPECT_EQ(counter(COUNT_CLIENT_CONNECTIONS), 0u);
}

// Resets caused by forged packets from one network, against those of all others, in one second.
class ResetSharesTest : public SteerTest {
 protected:
  using Addresses = std::function<IpAddress(std::uint32_t)>;

  ResetSharesTest() : SteerTest({.flows = 16'384, .clients = 8192}) {}

  // A client publishes without a prediction, or with that of another group. Returns whether it is
  // reset.
  bool mispredict(Peer from, std::string_view topic = kTemperatureTopic) {
    Client client = connect(from);
    return publish(client, topic).is_marked();
  }

  // Sends 2000 forged mispredicts, which may use up a second's resets, and among them one each of
  // 100 real clients in ten networks. Returns how many of the real clients are reset.
  std::uint32_t real_resets(const Addresses& forged, const Addresses& networks) {
    std::uint32_t reset = 0, real = 0;
    for (std::uint32_t pair = 0; pair < 2000; pair++) {
      // The topic changes after 250 forged ones, because an address may occur again.
      mispredict({forged(pair), static_cast<std::uint16_t>(20'000 + pair)},
                 pair / 250 % 2 ? kHumidityTopic : kTemperatureTopic);
      if (pair % 20 != 19) continue;
      reset += mispredict({networks(real % 10) + 1 + real / 10, 40'000});
      real++;
    }
    return reset;
  }

  static Addresses from(const char* first, std::uint32_t step, std::uint32_t count) {
    const IpAddress base = ipv4(first);
    return [=](std::uint32_t n) { return base + n % count * step; };
  }

  // IPv6 networks that differ in the third and fourth byte, or in the fifth and sixth, and so on.
  static Addresses from6(std::size_t byte) {
    return [=](std::uint32_t n) {
      IpAddress::Raw raw = ipv6("2001:db8::").raw();
      raw.at(byte) = static_cast<std::uint8_t>(n >> 8);
      raw.at(byte + 1) = static_cast<std::uint8_t>(n);
      return IpAddress(raw);
    };
  }
};

TEST_F(ResetSharesTest, OneNetworkLeavesTheOthersTheirResets) {
  EXPECT_GE(real_resets(from("10.66.7.0", 1, 250), from("10.1.0.0", 65'536, 10)), 90u);
  EXPECT_GT(counter(COUNT_KEPT_NETWORK), 0u);
}

TEST_F(ResetSharesTest, ItsNeighboursAreOthers) {
  EXPECT_GE(real_resets(from("10.66.77.0", 1, 250), from("10.66.0.0", 256, 10)), 90u);
}

TEST_F(ResetSharesTest, AWideNetworkIsOneToo) {
  EXPECT_GE(real_resets(from("172.16.0.0", 32, 2000), from("10.1.0.0", 65'536, 10)), 90u);
}

TEST_F(ResetSharesTest, AVeryWideOneToo) {
  EXPECT_GE(real_resets(from("11.0.0.0", 8192, 2000), from("10.1.0.0", 65'536, 10)), 90u);
}

TEST_F(ResetSharesTest, Ipv6NetworksHaveSharesOfTheSameKind) {
  // Addresses in a /64, in 65536 subnets of a /48, and in 65536 networks of a /32.
  for (const std::size_t byte : {std::size_t{14}, std::size_t{6}, std::size_t{4}}) {
    chain_->map<std::uint32_t, reset_budget>("reset_budget").put(0, {});
    const auto others = [=](std::uint32_t n) {
      IpAddress::Raw raw = ipv6("2a00::").raw();
      raw.at(3) = static_cast<std::uint8_t>(n);
      raw.at(8) = static_cast<std::uint8_t>(byte);  // new clients each time
      return IpAddress(raw);
    };
    EXPECT_GE(real_resets(from6(byte), others), 90u) << byte;
  }
}

TEST_F(ResetSharesTest, OneNetworkAloneHasHalfOfAllResets) {
  settings_.resets_per_second = 20;
  write(settings_);

  for (std::uint32_t n = 0; n < 40; n++) mispredict({ipv4("10.1.1.0") + n, 40'000});

  EXPECT_EQ(counter(COUNT_RESET), 10u);
  EXPECT_EQ(counter(COUNT_KEPT_NETWORK), 30u);
  EXPECT_EQ(counter(COUNT_KEPT_RATE), 0u);
  EXPECT_TRUE(mispredict({ipv4("192.0.2.1"), 40'000})) << "others have the other half";
}

class SmallRingTest : public SteerTest {
 protected:
  SmallRingTest() : SteerTest({.event_bytes = 4096}) {}
};

TEST_F(SmallRingTest, AFullRingIsCountedAndTheNextRecordFits) {
  Client client = connect();
  const int published = 100;
  for (int i = 0; i < published; i++)
    EXPECT_TRUE(publish(client, "topic/" + std::to_string(i)).forwarded());

  const std::uint64_t lost = counter(COUNT_EVENT_LOST);
  EXPECT_GT(lost, 0u);
  EXPECT_EQ(counter(COUNT_LEARNED), static_cast<std::uint64_t>(published));
  EXPECT_EQ(events().size(), published - lost);

  publish(client, "the/next/one");
  const auto records = events();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].topic(), "the/next/one");
  EXPECT_EQ(counter(COUNT_EVENT_LOST), lost);
}

class FewClientsTest : public SteerTest {
 protected:
  FewClientsTest() : SteerTest({.flows = 2048, .clients = 128}) {}

  // Clients that have a prediction.
  std::vector<std::uint32_t> known(std::uint32_t count) const {
    std::vector<std::uint32_t> found;
    for (std::uint32_t n = 0; n < count; n++)
      if (prediction_of(numbered_client(n))) found.push_back(n);
    return found;
  }
};

// Of ten times as many addresses as the table has room for.
TEST_F(FewClientsTest, ForgedConnectionsPushNoPredictionOut) {
  constexpr std::uint32_t kClients = 128;
  for (std::uint32_t n = 0; n < kClients; n++) predict(numbered_client(n), kTemperature);
  const std::vector<std::uint32_t> before = known(kClients);
  ASSERT_GT(before.size(), kClients * 9 / 10);

  for (std::uint32_t n = 0; n < 10 * kClients; n++) connect(numbered_client(1'000'000 + n));

  EXPECT_EQ(known(kClients), before);
  EXPECT_EQ(send(Client(numbered_client(before[0]), kService).syn()).group(), kTemperature);
}

TEST_F(FewClientsTest, MoreThanThereIsRoomForAreForwardedAllTheSame) {
  for (std::uint32_t n = 0; n < 1000; n++) {
    Client client = connect(numbered_client(n));
    ASSERT_TRUE(publish(client, "any").forwarded()) << n;
    send(client.fin());
  }
  EXPECT_LE(chain_->clients().size(), 144u) << "nine tenths full";
  EXPECT_EQ(counter(COUNT_LEARNED), 1000u);
}

}  // namespace
}  // namespace remora
