// SPDX-License-Identifier: Apache-2.0
//
// The flow table: hints may be wrong, and the next connection reuses a place that was given back.
#include <algorithm>
#include <cstring>

#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

Peer numbered_client(std::uint32_t n) {
  return {ipv4("10.9.0.0") + n, 40'000};
}

class FlowTableTest : public SteerTest {
 protected:
  explicit FlowTableTest(const ChainLimits& limits = {}) : SteerTest(limits) {}

  MapView<__u32, __u32> taken() const { return chain_->map<__u32, __u32>("places_taken"); }
  MapView<flow_key, __u32> places() const { return chain_->map<flow_key, __u32>("places"); }
  MapView<__u32, hint_row> hints() const { return chain_->map<__u32, hint_row>("hints"); }

  std::uint32_t hint_rows() const {
    bpf_map_info info{};
    __u32 size = sizeof(info);
    EXPECT_EQ(bpf_obj_get_info_by_fd(chain_->map_fd("hints"), &info, &size), 0);
    return info.max_entries;
  }

  void set_all_hints(std::uint32_t place) {
    hint_row row{};
    for (__u32& hint : row.place) hint = place;
    for (std::uint32_t i = 0; i < hint_rows(); ++i) hints().put(i, row);
  }

  std::uint32_t count_hints(std::uint32_t place) const {
    std::uint32_t count = 0;
    for (std::uint32_t i = 0; i < hint_rows(); ++i) {
      const hint_row row = *hints().find(i);
      count += static_cast<std::uint32_t>(std::ranges::count(row.place, place));
    }
    return count;
  }
};

class FewPlacesTest : public FlowTableTest {
 protected:
  FewPlacesTest() : FlowTableTest({.flows = 4}) {}

  // Opens a connection that must not give way to others.
  Client connect_for_good(Peer from) {
    Client client = connect(from);
    send(client.send(pingreq_packet()));
    return client;
  }
};

TEST_F(FlowTableTest, APacketFindsItsFlowWhateverTheHintsSay) {
  predict(numbered_client(1), kTemperature);
  predict(numbered_client(2), kHumidity);
  Client temperature = connect(numbered_client(1)), humidity = connect(numbered_client(2));
  const std::uint32_t places_of_both[] = {*places().find(key_of(temperature)),
                                          *places().find(key_of(humidity))};
  ASSERT_NE(places_of_both[0], places_of_both[1]);

  for (const std::uint32_t wrong :
       {0u, places_of_both[0], places_of_both[1], 500u, 1024u, 1025u, 0xffffffffu}) {
    SCOPED_TRACE(wrong);
    set_all_hints(wrong);
    EXPECT_EQ(send(temperature.ack()).group(), kTemperature);
    EXPECT_EQ(publish(humidity, kHumidityTopic).group(), kHumidity);
    EXPECT_EQ(publish(temperature, kTemperatureTopic).group(), kTemperature);
  }
  EXPECT_EQ(counter(COUNT_NO_FLOW), 0u);
  EXPECT_EQ(counter(COUNT_MISPREDICT), 0u);
  EXPECT_EQ(flow_of(humidity)->stream.next, humidity.next_seq());
}

TEST_F(FlowTableTest, AHintIsPutRightByTheFirstPacket) {
  Client client = connect();
  const std::uint32_t place = *places().find(key_of(client));
  set_all_hints(0);

  send(client.ack());

  EXPECT_EQ(count_hints(place), 1u);
}

// Place 0 and all unused places have a key, too: all zeros.
TEST_F(FlowTableTest, AClientOfZerosHasNoFlow) {
  service(kService6, 0, kDefault);
  set_all_hints(0);
  const Client nobody({ipv6("::"), 0}, kService6, 1);

  send(nobody.ack());
  EXPECT_EQ(counter(COUNT_NO_FLOW), 1u);
}

TEST_F(FlowTableTest, AFlowThatWasTakenOutIsNotFound) {
  predict(kClient, kTemperature);
  Client client = connect();
  send(client.ack());
  const std::uint32_t place = *places().find(key_of(client));
  ASSERT_TRUE(chain_->flows().erase(key_of(client)));
  EXPECT_EQ(count_hints(place), 1u) << "hints are left as they are";

  EXPECT_EQ(send(client.ack()).group(), kTemperature);

  EXPECT_EQ(counter(COUNT_NO_FLOW), 1u);
  EXPECT_FALSE(chain_->flows().erase(key_of(client)));
}

TEST_F(FewPlacesTest, APlaceThatWasGivenBackIsTakenAgain) {
  std::vector<Client> clients;
  for (std::uint32_t n = 0; n < 4; ++n) clients.push_back(connect_for_good(numbered_client(n)));
  EXPECT_FALSE(flow_of(connect(numbered_client(4))));
  EXPECT_EQ(counter(COUNT_FLOW_TABLE_FULL), 1u);

  const std::uint32_t place = *places().find(key_of(clients[2]));
  ASSERT_TRUE(chain_->flows().erase(key_of(clients[2])));
  predict(numbered_client(5), kHumidity);
  Client late = connect(numbered_client(5));

  EXPECT_EQ(places().find(key_of(late)), place);
  EXPECT_EQ(flow_of(late)->isn, late.isn());
  EXPECT_EQ(publish(late, kHumidityTopic).group(), kHumidity);
  EXPECT_EQ(counter(COUNT_MISPREDICT), 0u);
  EXPECT_EQ(counter(COUNT_FLOW_TABLE_FULL), 1u);
  for (const std::uint32_t n : {0u, 1u, 3u}) EXPECT_EQ(flow_of(clients[n])->isn, clients[n].isn());
}

TEST_F(FewPlacesTest, NoPlaceIsLostByComingAndGoing) {
  for (std::uint32_t n = 0; n < 100; ++n) {
    const Client passing = connect(numbered_client(n));
    ASSERT_EQ(flow_of(passing)->isn, passing.isn());
    ASSERT_TRUE(chain_->flows().erase(key_of(passing)));
  }
  EXPECT_EQ(taken().find(0), 1u);
  EXPECT_EQ(counter(COUNT_FLOW_TABLE_FULL), 0u);

  for (std::uint32_t n = 0; n < 20; ++n) connect_for_good(numbered_client(n));
  EXPECT_EQ(counter(COUNT_FLOW_TABLE_FULL), 16u);
  EXPECT_EQ(taken().find(0), 4u) << "who finds no place takes none";
}

// A daemon that is killed while it gives a place back leaves this to the next one, which cannot
// see whether the number is already on the stack.
TEST_F(FewPlacesTest, ANumberThatIsOnTheStackTwiceIsTakenOnce) {
  std::vector<Client> clients;
  for (std::uint32_t n = 0; n < 4; ++n) clients.push_back(connect_for_good(numbered_client(n)));
  const std::uint32_t place = *places().find(key_of(clients[1]));
  ASSERT_TRUE(chain_->flows().erase(key_of(clients[1])));
  ASSERT_EQ(bpf_map_update_elem(chain_->map_fd("free_places"), nullptr, &place, BPF_ANY), 0);

  const Client next = connect_for_good(numbered_client(5)), last = connect(numbered_client(6));

  EXPECT_EQ(places().find(key_of(next)), place);
  EXPECT_EQ(flow_of(next)->isn, next.isn());
  EXPECT_FALSE(flow_of(last));
  EXPECT_EQ(counter(COUNT_FLOW_TABLE_FULL), 1u);
}

TEST_F(FewPlacesTest, BehindANumberThatIsThereTwiceTheNextOneIsTaken) {
  std::vector<Client> clients;
  for (std::uint32_t n = 0; n < 4; ++n) clients.push_back(connect_for_good(numbered_client(n)));
  const std::uint32_t in_use = *places().find(key_of(clients[1]));
  ASSERT_TRUE(chain_->flows().erase(key_of(clients[2])));
  ASSERT_EQ(bpf_map_update_elem(chain_->map_fd("free_places"), nullptr, &in_use, BPF_ANY), 0);

  const Client next = connect(numbered_client(5));

  EXPECT_EQ(flow_of(next)->isn, next.isn());
  EXPECT_EQ(flow_of(clients[1])->isn, clients[1].isn());
  EXPECT_EQ(counter(COUNT_FLOW_TABLE_FULL), 0u);
}

TEST_F(FewPlacesTest, AReconnectOnTheSamePortKeepsItsPlace) {
  const std::uint32_t place = *places().find(key_of(connect()));

  for (std::uint32_t isn = 10'000; isn < 1'000'000; isn += 100'000) connect(kClient, isn);

  EXPECT_EQ(places().find(key_of(connect(kClient, 5))), place);
  EXPECT_EQ(taken().find(0), 1u);
}

TEST_F(FlowTableTest, WhatTheDaemonSetsIsTheStateAlone) {
  Client client = connect();
  publish(client, kTemperatureTopic);
  const flow before = *flow_of(client);

  ASSERT_TRUE(chain_->flows().set_state(key_of(client), FLOW_CONDEMNED));

  flow after = *flow_of(client);
  EXPECT_EQ(after.state, FLOW_CONDEMNED);
  after.state = before.state;
  EXPECT_EQ(std::memcmp(&after, &before, sizeof(flow)), 0);
  EXPECT_TRUE(publish(client, kTemperatureTopic).is_rst());
  EXPECT_FALSE(
      chain_->flows().set_state(key_of(Client(numbered_client(1), kService, 1)), FLOW_CONDEMNED));
}

}  // namespace
}  // namespace remora
