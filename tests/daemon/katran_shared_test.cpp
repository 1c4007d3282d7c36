// SPDX-License-Identifier: Apache-2.0
//
// remorad next to a Katran server: the shared prog array, and what remorad learns by running the
// program in the server's slot. The server is the stand-in of tests/katran. Runs in a network
// namespace and a bpffs directory of its own; needs root.
#include "daemon/forwarders/katran_shared.h"

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>

#include "bpf/parse.h"
#include "daemon/forwarders/forwarder_slot.h"
#include "daemon/forwarders/katran_program.h"
#include "katran_stand_in.skel.h"
#include "tests/daemon/lb_fixture.h"

namespace remora {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kServersVipNum = 3, kServersReal = 7;

Address address(const char* text) {
  return *Address::parse(text);
}

class KatranSharedTest : public LbTest {
 protected:
  void SetUp() override {
    LbTest::SetUp();
    array_ = "/sys/fs/bpf/" + pins_.filename().string() + "-jmp";
  }

  void TearDown() override {
    LbTest::TearDown();
    if (network_) ::unlink(array_.c_str());
  }

  Config config(const std::string& forwarder = "katran-shared") const {
    LbText lb{.groups = {{"rest", "10.1.50.203", {}}, {"warm", "10.1.50.201", {}}},
              .routes = {{"t/warm", "warm"}},
              .lb = "xdp_mode = \"generic\"\nforwarder = \"" + forwarder +
                    "\"\nkatran_root_array = \"" + array_.string() + "\"\n"};
    if (forwarder != "katran-shared") {
      lb.groups[0].reals = {{"10.1.3.105"}};
      lb.groups[1].reals = {{"10.1.3.101"}};
    }
    return lb.config();
  }

  void start(const Config& config) {
    running_.reset();
    running_ = run(config);
    running_->attach();
  }

  std::string refusal() {
    try {
      start(config());
      return "none";
    } catch (const std::runtime_error& error) {
      return error.what();
    }
  }

  Fd array() const { return Fd(bpf_obj_get(array_.c_str())); }

  static Fd make_array(std::uint32_t slots) {
    return Fd(bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "jmp", 4, 4, slots, nullptr));
  }

  std::uint32_t program_in(std::uint32_t slot) const {
    std::uint32_t id = 0;
    bpf_map_lookup_elem(array().get(), &slot, &id);
    return id;
  }

  struct Destroy {
    void operator()(remora_katran_stand_in* skeleton) const {
      remora_katran_stand_in__destroy(skeleton);
    }
  };
  using Server = std::unique_ptr<remora_katran_stand_in, Destroy>;

  // A Katran server with one VIP of one real. `type`: the attach type that its loader sets.
  static Server load_server(bpf_attach_type type = BPF_XDP) {
    Server server(remora_katran_stand_in__open());
    bpf_program__set_expected_attach_type(server->progs.stand_in, type);
    if (remora_katran_stand_in__load(server.get()) != 0) return nullptr;
    const std::uint32_t zero = 0;
    const gateway mac{{2, 0, 0, 0, 0, 1}, {}};
    bpf_map_update_elem(bpf_map__fd(server->maps.ctl_array), &zero, &mac, BPF_ANY);
    const real broker{{address("10.1.3.101").ipv4(), 0, 0, 0}, 0, {}};
    bpf_map_update_elem(bpf_map__fd(server->maps.reals), &kServersReal, &broker, BPF_ANY);
    for (std::uint32_t slot = 0; slot < RING_SIZE; ++slot) {
      const std::uint32_t key = kServersVipNum * RING_SIZE + slot;
      bpf_map_update_elem(bpf_map__fd(server->maps.ch_rings), &key, &kServersReal, BPF_ANY);
    }
    return server;
  }

  static void add_vip(const Server& server, const char* vip, std::uint32_t vip_num) {
    KatranVipKey key{};
    key.address = katran_address(address(vip));
    key.port = host_to_net16(1883);
    key.protocol = IPPROTO_TCP;
    const KatranVip value{.flags = 0, .vip_num = vip_num};
    bpf_map_update_elem(bpf_map__fd(server->maps.vip_map), &key, &value, BPF_ANY);
  }

  bool put_in_slot(const Server& server) const {
    const std::uint32_t slot = SLOT_FORWARDER;
    const int fd = bpf_program__fd(server->progs.stand_in);
    return bpf_map_update_elem(array().get(), &slot, &fd, BPF_ANY) == 0;
  }

  void empty_slot() const {
    const std::uint32_t slot = SLOT_FORWARDER;
    bpf_map_delete_elem(array().get(), &slot);
  }

  ForwarderSlot slot() const {
    return {running_->programs.program("ask").fd, network_->lb_index()};
  }

  struct group group(const char* name) const {
    return running_->maps.groups.find(running_->ids.of_group(name)).value();
  }

  fs::path array_;
};

TEST_F(KatranSharedTest, TheArrayIsMadeWhereKatranExpectsIt) {
  start(config());

  ASSERT_TRUE(array());
  EXPECT_NE(program_in(SLOT_MQTT), 0u);
  EXPECT_EQ(program_in(SLOT_FORWARDER), 0u) << "that is Katran's to fill";
  EXPECT_FALSE(fs::exists(pins_ / "root_array"));
}

TEST_F(KatranSharedTest, AnArrayThatIsThereIsTakenWithWhoeverIsInIt) {
  const Fd upstream = make_array(3);  // as upstream's root program does
  ASSERT_EQ(bpf_obj_pin(upstream.get(), array_.c_str()), 0);
  const Server server = load_server();
  ASSERT_TRUE(put_in_slot(server));
  const std::uint32_t before = program_in(SLOT_FORWARDER);

  start(config());

  EXPECT_EQ(program_in(SLOT_FORWARDER), before);
  EXPECT_NE(program_in(SLOT_MQTT), 0u);
}

TEST_F(KatranSharedTest, TheAttachTypeIsThatOfAServerThatCameFirst) {
  const Fd upstream = make_array(3);
  ASSERT_EQ(bpf_obj_pin(upstream.get(), array_.c_str()), 0);
  const Server server = load_server(bpf_attach_type{});
  ASSERT_TRUE(put_in_slot(server));
  add_vip(server, "10.1.50.201", kServersVipNum);

  start(config());

  EXPECT_EQ(slot().ask(address("10.1.50.201"), host_to_net16(1883)).state, VipState::kForwards);
}

TEST_F(KatranSharedTest, EitherSideMayRestart) {
  start(config());
  Server server = load_server();
  ASSERT_TRUE(put_in_slot(server));
  const std::uint32_t katran = program_in(SLOT_FORWARDER);

  start(config());
  EXPECT_EQ(program_in(SLOT_FORWARDER), katran);

  const std::uint32_t stage = program_in(SLOT_MQTT);
  server = load_server();
  ASSERT_TRUE(put_in_slot(server));
  EXPECT_NE(program_in(SLOT_FORWARDER), katran);
  EXPECT_EQ(program_in(SLOT_MQTT), stage);
}

TEST_F(KatranSharedTest, WhatIsNoSuchArrayIsRefused) {
  const Fd two_slots = make_array(2);
  ASSERT_EQ(bpf_obj_pin(two_slots.get(), array_.c_str()), 0);
  EXPECT_NE(refusal().find(array_.string() + ": is no prog array with slot 2"), std::string::npos)
      << refusal();
  ::unlink(array_.c_str());

  const Fd hash(bpf_map_create(BPF_MAP_TYPE_HASH, "jmp", 4, 4, 3, nullptr));
  ASSERT_EQ(bpf_obj_pin(hash.get(), array_.c_str()), 0);
  EXPECT_NE(refusal().find("is no prog array"), std::string::npos) << refusal();
  EXPECT_TRUE(fs::exists(array_)) << "it is somebody else's";
}

TEST_F(KatranSharedTest, AStartThatFailsLeavesNoArray) {
  Config bad = config();
  bad.limits.flows = UINT32_MAX;  // needs more memory than there is
  EXPECT_THROW(start(bad), std::runtime_error);
  EXPECT_FALSE(fs::exists(array_));
}

TEST_F(KatranSharedTest, AnotherForwarderAfterItLeavesKatransSlotAlone) {
  start(config());
  const Server server = load_server();
  ASSERT_TRUE(put_in_slot(server));
  const std::uint32_t katran = program_in(SLOT_FORWARDER);

  start(config("embedded"));

  EXPECT_EQ(program_in(SLOT_FORWARDER), katran);
  EXPECT_TRUE(fs::exists(pins_ / "root_array")) << "one of its own";
  start(config());
  EXPECT_FALSE(fs::exists(pins_ / "root_array"));
}

TEST_F(KatranSharedTest, TheSlotSaysWhatBecomesOfAVip) {
  start(config());
  const ForwarderSlot slot = this->slot();
  const __be16 port = host_to_net16(1883);
  EXPECT_EQ(slot.ask(address("10.1.50.201"), port).state, VipState::kEmptySlot);

  const Server server = load_server();
  ASSERT_TRUE(put_in_slot(server));
  EXPECT_EQ(slot.ask(address("10.1.50.201"), port).state, VipState::kUnknown);

  add_vip(server, "10.1.50.201", kServersVipNum);
  EXPECT_EQ(slot.ask(address("10.1.50.201"), port).state, VipState::kForwards);
  EXPECT_EQ(slot.ask(address("10.1.50.201"), host_to_net16(1884)).state, VipState::kUnknown);

  add_vip(server, "10.1.50.203", kServersVipNum - 1);
  EXPECT_EQ(slot.ask(address("10.1.50.203"), port).state, VipState::kNoReal);
}

TEST_F(KatranSharedTest, WhatTheSlotTakesIsSentAsItMakesIt) {
  start(config());
  const ForwarderSlot slot = this->slot();
  const Bytes packet = readdressed(
      reset_of({address("10.1.1.7"), host_to_net16(40'000)}, {address("10.1.50.200"), 0x5b07}),
      address("10.1.50.201"));
  EXPECT_FALSE(slot.send(packet)) << "nobody is there";

  const Server server = load_server();
  add_vip(server, "10.1.50.201", kServersVipNum);
  ASSERT_TRUE(put_in_slot(server));

  EXPECT_TRUE(slot.send(packet));
  EXPECT_EQ(network_->next_packet(), packet) << "the stand-in wraps nothing";
  EXPECT_FALSE(slot.send(Bytes(60'000, 0x45))) << "longer than the kernel runs";
}

TEST_F(KatranSharedTest, AfterTheInterfaceWasMadeAnewItSendsByTheNewOne) {
  start(config());
  LbNetwork::run("ip link add before up type veth peer name other");
  KatranShared forwarder(running_->programs.program(kAskProgram), if_nametoindex("before"));
  const Server server = load_server();
  add_vip(server, "10.1.50.201", kServersVipNum);
  ASSERT_TRUE(put_in_slot(server));
  const Bytes packet =
      reset_of({address("10.1.1.7"), host_to_net16(40'000)}, {address("10.1.50.201"), 0x5b07});
  const BrokerWay way{.real = std::nullopt, .vip = address("10.1.50.201")};

  LbNetwork::run("ip link del before");
  EXPECT_FALSE(forwarder.send(packet, {}, way));

  forwarder.move_to(network_->lb_index());
  EXPECT_TRUE(forwarder.send(packet, {}, way));
  EXPECT_EQ(network_->next_packet(), packet);
}

TEST_F(KatranSharedTest, ItTellsTheStateOfEveryGroupsVip) {
  start(config());
  Forwarder& forwarder = *running_->forwarder;
  EXPECT_EQ(forwarder.state_of("warm"), VipState::kEmptySlot);
  EXPECT_EQ(forwarder.state_of("nobody"), std::nullopt);

  const Server server = load_server();
  add_vip(server, "10.1.50.201", kServersVipNum);
  ASSERT_TRUE(put_in_slot(server));
  forwarder.look();
  EXPECT_EQ(forwarder.state_of("warm"), VipState::kForwards);
  EXPECT_EQ(forwarder.state_of("rest"), VipState::kUnknown);

  empty_slot();
  forwarder.look();
  EXPECT_EQ(forwarder.state_of("warm"), VipState::kEmptySlot);
}

// remorad does not know the reals here, so it assumes the longer header until Katran has
// forwarded a packet.
TEST_F(KatranSharedTest, TheOuterHeadersLengthIsLearned) {
  start(config());
  EXPECT_EQ(group("warm").outer_len, sizeof(ipv6_header));

  const Server server = load_server();
  add_vip(server, "10.1.50.201", kServersVipNum);
  ASSERT_TRUE(put_in_slot(server));
  running_->forwarder->look();
  running_->steering.update_outer_lengths();

  EXPECT_EQ(group("warm").outer_len, sizeof(iphdr));
  EXPECT_EQ(group("rest").outer_len, sizeof(ipv6_header)) << "still unknown";
  running_->steering.apply(config(), kMtu);
  EXPECT_EQ(group("warm").outer_len, sizeof(iphdr)) << "a reload keeps what is known";
}

TEST_F(KatranSharedTest, ThePacketsOfTheDaemonGoByTheSlot) {
  start(config());
  const std::uint16_t warm = running_->ids.of_group("warm");

  const auto way = running_->steering.way_to(warm, 0);

  ASSERT_TRUE(way);
  EXPECT_EQ(way->real, std::nullopt);
  EXPECT_EQ(way->vip, address("10.1.50.201"));
}

}  // namespace
}  // namespace remora
