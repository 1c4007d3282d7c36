// SPDX-License-Identifier: Apache-2.0
//
// Loading an operator's Katran: the stand-in of tests/katran, and a real one where
// REMORA_KATRAN_OBJ names its balancer.bpf.o.
#include "daemon/forwarders/katran_program.h"

#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>

#include "daemon/forwarders/katran_purge.h"
#include "tests/support/chain.h"
#include "tests/support/packet.h"

namespace remora {
namespace {

constexpr const char* kStandIn = REMORA_BPF_DIR "/katran_stand_in.bpf.o";
constexpr Peer kVip{ipv4("10.1.50.201"), 1883}, kClient{ipv4("10.1.1.7"), 40'000};
constexpr std::uint32_t kVipNum = 1;

class KatranProgramTest : public testing::Test {
 protected:
  void SetUp() override {
    struct statfs status {};
    if (!may_load_bpf()) GTEST_SKIP() << "needs root";
    if (statfs("/sys/fs/bpf", &status) != 0 || status.f_type != BPF_FS_MAGIC)
      GTEST_SKIP() << "needs a BPF file system";
    folder_ = "/sys/fs/bpf/remora_katran_test_" + std::to_string(getpid());
    std::filesystem::create_directory(folder_);
    rings_ = array("ch_rings", 4, 4 * RING_SIZE);
    reals_ = array("reals", sizeof(real), 4096);
    gateways_ = array("ctl_array", sizeof(gateway), 16);
    const gateway mac{{2, 0x42, 0x0a, 1, 0, 1}, {}};
    const std::uint32_t zero = 0;
    bpf_map_update_elem(gateways_.get(), &zero, &mac, BPF_ANY);
    ring_of(7);
  }

  void TearDown() override {
    if (folder_.empty()) return;
    for (const auto& pin : std::filesystem::directory_iterator(folder_))
      ::unlink(pin.path().c_str());
    std::filesystem::remove(folder_);
  }

  static Fd array(const char* name, std::uint32_t value_size, std::uint32_t entries) {
    return Fd(bpf_map_create(BPF_MAP_TYPE_ARRAY, name, 4, value_size, entries, nullptr));
  }

  // Gives all slots of the VIP to one real.
  void ring_of(std::uint32_t index) {
    for (std::uint32_t slot = 0; slot < RING_SIZE; slot++) {
      const std::uint32_t key = kVipNum * RING_SIZE + slot;
      bpf_map_update_elem(rings_.get(), &key, &index, BPF_ANY);
    }
  }

  KatranProgram load(const std::filesystem::path& path) {
    return {path, folder_, {rings_.get(), reals_.get(), gateways_.get()}};
  }

  std::string refusal_of(const std::filesystem::path& path) {
    try {
      load(path);
      return "none";
    } catch (const std::runtime_error& error) {
      return error.what();
    }
  }

  static std::vector<std::uint32_t> tables_of(const KatranProgram& katran) {
    std::vector<std::uint32_t> ids;
    for (const KatranConnections& table : katran.connections()) {
      bpf_map_info info{};
      std::uint32_t size = sizeof(info);
      EXPECT_EQ(bpf_obj_get_info_by_fd(table.fd(), &info, &size), 0);
      ids.push_back(info.id);
    }
    return ids;
  }

  std::size_t pins() const {
    const auto all = std::filesystem::directory_iterator(folder_);
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }

  std::filesystem::path folder_;
  Fd rings_, reals_, gateways_;
};

KatranVips vip(std::string_view address, std::uint16_t port = kVip.port) {
  return {{{*Address::parse(address), htobe16(port)}, {.flags = 0, .vip_num = kVipNum}}};
}

Bytes to_vip(const Segment& segment) {
  return Segment(segment).from(kClient).to(kVip).frame();
}

TEST_F(KatranProgramTest, AFailedStartRemovesItsOwnPinsOnly) {
  std::optional<KatranProgram> first(load(kStandIn));
  const std::size_t before = pins();
  EXPECT_GT(before, 0u);

  load(kStandIn);
  EXPECT_EQ(pins(), before);

  first.reset();
  EXPECT_EQ(pins(), 0u);
}

TEST_F(KatranProgramTest, ItsRingsRealsAndGatewayAreThoseItIsGiven) {
  const KatranProgram katran = load(kStandIn);
  EXPECT_EQ(run_xdp(katran.program_fd(), to_vip(syn())).verdict, XDP_PASS) << "no such VIP yet";

  katran.set_vips(vip("10.1.50.201"));
  const RunResult out = run_xdp(katran.program_fd(), to_vip(syn()));

  EXPECT_EQ(out.verdict, XDP_TX);
  EXPECT_EQ(Packet(out.frame).destination_mac(), (Mac{2, 0x42, 0x0a, 1, 0, 1}));
  EXPECT_EQ(Packet(out.frame).source_mac()[5], 7) << "the real of the ring";
}

TEST_F(KatranProgramTest, AnIpv6VipIsOneToo) {
  const KatranProgram katran = load(kStandIn);
  katran.set_vips(vip("2001:db8:50::201"));

  const Bytes frame =
      syn().from({ipv6("2001:db8:1::7"), 40'000}).to({ipv6("2001:db8:50::201"), 1883}).frame();

  EXPECT_EQ(run_xdp(katran.program_fd(), frame).verdict, XDP_TX);
}

TEST_F(KatranProgramTest, AVipThatIsNoLongerConfiguredIsGone) {
  const KatranProgram katran = load(kStandIn);
  katran.set_vips(vip("10.1.50.201"));
  katran.set_vips(vip("10.1.50.202"));

  EXPECT_EQ(run_xdp(katran.program_fd(), to_vip(syn())).verdict, XDP_PASS);
}

// For a VIP without a port Katran hashes no port, so its choice would differ from ours.
TEST_F(KatranProgramTest, AVipIsOneForItsPortOnly) {
  const KatranProgram katran = load(kStandIn);
  katran.set_vips(vip("10.1.50.201", 8883));

  EXPECT_EQ(run_xdp(katran.program_fd(), to_vip(syn())).verdict, XDP_PASS);
}

TEST_F(KatranProgramTest, EveryCpuHasATableOfConnections) {
  const KatranProgram katran = load(kStandIn);
  katran.set_vips(vip("10.1.50.201"));
  run_xdp(katran.program_fd(), to_vip(syn()));

  EXPECT_EQ(katran.connections().size(), static_cast<std::size_t>(libbpf_num_possible_cpus()));
  std::size_t found = 0;
  for (const KatranConnections& table : katran.connections()) {
    BatchReader<KatranConnectionKey, KatranConnection> reader(table, 16);
    const auto [keys, values] = reader.next();
    found += keys.size();
    for (const KatranConnection& connection : values) EXPECT_EQ(connection.real, 7u);
  }
  EXPECT_EQ(found, 1u);
}

TEST_F(KatranProgramTest, ConnectionsOutliveTheLoader) {
  std::optional<KatranProgram> katran(load(kStandIn));
  const std::vector<std::uint32_t> tables = tables_of(*katran);
  katran->keep_pins();
  katran.reset();

  katran.emplace(load(kStandIn));

  EXPECT_EQ(tables_of(*katran), tables);
  katran.reset();
  KatranProgram::remove_pins(folder_);
  EXPECT_EQ(pins(), 0u);
}

TEST_F(KatranProgramTest, OnlyTheVipsConnectionsOfTheDeadRealArePurged) {
  constexpr std::uint16_t kMany = 10'000;
  constexpr std::uint32_t kDead = 7, kOther = 8;
  const Address vip = *Address::parse("10.1.50.201"), other_vip = *Address::parse("10.1.50.202");
  const KatranProgram katran = load(kStandIn);
  const auto tables = katran.connections();
  const auto key_of = [&](std::uint16_t port) {
    KatranConnectionKey key{};
    key.vip = katran_address(port % 2 == 0 ? vip : other_vip);
    key.client_port = port;
    return key;
  };
  for (std::uint16_t port = 0; port < kMany; ++port)
    tables[port % tables.size()].put(key_of(port), {port % 3 == 0 ? kDead : kOther, 0, 0});
  KatranPurge purge(tables);
  purge.step();
  EXPECT_EQ(purge.purged(), 0u) << "nobody asked";

  purge.start(vip, kDead);
  for (int step = 0; step < 100; ++step) purge.step();

  EXPECT_EQ(purge.purged(), (kMany + 5u) / 6);
  for (std::uint16_t port = 0; port < kMany; ++port) {
    const auto found = tables[port % tables.size()].find(key_of(port));
    ASSERT_EQ(found.has_value(), port % 6 != 0) << port;
  }
}

TEST_F(KatranProgramTest, APinOfAnotherLayoutGivesWay) {
  const Fd other = array("other", 4, 1);
  ASSERT_EQ(bpf_obj_pin(other.get(), (folder_ / "katran_lru_0").c_str()), 0);

  EXPECT_EQ(load(kStandIn).connections().size(),
            static_cast<std::size_t>(libbpf_num_possible_cpus()));
}

TEST_F(KatranProgramTest, OneThatIsRefusedLeavesNoPins) {
  refusal_of(REMORA_BPF_DIR "/katran_other_layout.bpf.o");
  EXPECT_EQ(pins(), 0u);
}

TEST_F(KatranProgramTest, AFileThatIsNotThereIsRefused) {
  const std::string refusal = refusal_of("/nonexistent/balancer.bpf.o");
  EXPECT_NE(refusal.find("cannot be opened: No such file"), std::string::npos) << refusal;
}

TEST_F(KatranProgramTest, AnObjectWithoutAMapIsRefusedByName) {
  const std::string refusal = refusal_of(REMORA_BPF_DIR "/root.bpf.o");
  EXPECT_NE(refusal.find("has no map vip_map"), std::string::npos) << refusal;
}

TEST_F(KatranProgramTest, AMapOfAnotherLayoutIsRefusedWithWhatDiffers) {
  const std::string refusal = refusal_of(REMORA_BPF_DIR "/katran_other_layout.bpf.o");
  EXPECT_NE(refusal.find("the map vip_map has another layout: its value size is 12, not 8"),
            std::string::npos)
      << refusal;
}

TEST_F(KatranProgramTest, TakesARealKatran) {
  const char* path = std::getenv("REMORA_KATRAN_OBJ");
  if (path == nullptr) GTEST_SKIP() << "set REMORA_KATRAN_OBJ to a balancer.bpf.o";
  const KatranProgram katran = load(path);
  katran.set_vips(vip("10.1.50.201"));
  const real broker{{htobe32(ipv4("10.2.0.7")), 0, 0, 0}, 0, {}};
  const std::uint32_t index = 7;
  bpf_map_update_elem(reals_.get(), &index, &broker, BPF_ANY);

  const RunResult out = run_xdp(katran.program_fd(), to_vip(syn()));

  ASSERT_EQ(out.verdict, XDP_TX);
  EXPECT_EQ(Packet(out.frame).destination(), ipv4("10.2.0.7"));
}

}  // namespace
}  // namespace remora
