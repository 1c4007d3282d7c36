// SPDX-License-Identifier: Apache-2.0
//
// Other tools change the LB's interface while the daemon runs. Needs root.
#include "daemon/attachment.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "daemon/base/attachment.h"
#include "daemon/kernel/pins.h"
#include "tests/daemon/lb_fixture.h"

namespace remora {
namespace {

namespace fs = std::filesystem;

Fd present_namespace() {
  return Fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
}

std::string path_of(const Fd& fd) {
  return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fd.get());
}

class AttachmentTest : public LbTest {
 protected:
  void SetUp() override {
    LbTest::SetUp();
    if (IsSkipped()) return;
    running_ = run(LbText{.lb = "xdp_mode = \"generic\"\n"}.config());
    running_->attach();
    attachment_.emplace(
        "lb", *find_link("lb"), running_->programs,
        Attachment::Handlers{
            .on_restored = [this] { ++restored_; },
            .on_new_interface = [this](const Link& link) { moves_.push_back(link); },
        });
    ASSERT_TRUE(attachment_->look()) << attachment_->problem();
  }

  static void sh(const std::string& command) { LbNetwork::run(command); }
  static std::uint32_t program_on(const char* interface) {
    LIBBPF_OPTS(bpf_xdp_query_opts, query);
    const auto index = static_cast<int>(if_nametoindex(interface));
    return bpf_xdp_query(index, 0, &query) == 0 ? query.prog_id : 0;
  }
  bool has_root_on(const char* interface) const {
    const auto root = info_of(running_->programs.program(kRootProgram));
    return root && program_on(interface) == root->id;
  }
  // The filters of both directions.
  static int filters_on(const std::string& interface) {
    const std::string file = "/tmp/remora-filters-" + std::to_string(getpid());
    sh("{ tc filter show dev " + interface + " ingress; tc filter show dev " + interface +
       " egress; } | grep -c 'remora_.*direct-action' >" + file + " || true");
    std::FILE* read = std::fopen(file.c_str(), "r");
    int count = 0;
    EXPECT_EQ(std::fscanf(read, "%d", &count), 1);
    std::fclose(read);
    fs::remove(file);
    return count;
  }

  void expect_put_back() {
    EXPECT_FALSE(attachment_->look()) << "nothing was missing";
    expect_in_order();
  }
  void expect_in_order() {
    EXPECT_TRUE(attachment_->look());
    EXPECT_TRUE(attachment_->is_complete());
    EXPECT_EQ(attachment_->problem(), "");
    EXPECT_TRUE(has_root_on("lb"));
    EXPECT_EQ(filters_on("lb"), 3);
  }
  void expect_problem(const std::string& words) {
    EXPECT_NE(attachment_->problem().find(words), std::string::npos) << attachment_->problem();
  }

  std::optional<Attachment> attachment_;
  int restored_ = 0;
  std::vector<Link> moves_;
};

TEST_F(AttachmentTest, ADetachedLinkIsMadeAnew) {
  const Fd link(bpf_obj_get((pins_ / kLinkPin).c_str()));
  ASSERT_EQ(bpf_link_detach(link.get()), 0);
  ASSERT_FALSE(has_root_on("lb"));

  expect_put_back();
  EXPECT_EQ(restored_, 1);
}

TEST_F(AttachmentTest, ADeletedQdiscIsMadeAnew) {
  sh("tc qdisc del dev lb clsact");

  expect_put_back();
}

// The ingress qdisc's filters used to count for both directions, and each look replaced the probe.
TEST_F(AttachmentTest, AnotherQdiscInThePlaceOfClsactIsAProblem) {
  sh("tc qdisc del dev lb clsact && tc qdisc add dev lb ingress");
  const Fd link(bpf_obj_get((pins_ / kLinkPin).c_str()));
  ASSERT_EQ(bpf_link_detach(link.get()), 0);

  EXPECT_FALSE(attachment_->look());
  expect_problem("tc qdisc del dev lb ingress");
  EXPECT_TRUE(has_root_on("lb")) << "the rest is put back";

  sh("tc qdisc del dev lb ingress");
  expect_put_back();
}

TEST_F(AttachmentTest, AFilterThatWasReplacedIsPutBack) {
  const int other = running_->programs.program(kHealthProgram).fd;
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = static_cast<int>(network_->lb_index()),
              .attach_point = BPF_TC_INGRESS);
  LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = other, .flags = BPF_TC_F_REPLACE,
              .handle = kProbeHandle, .priority = kProbePriority);
  ASSERT_EQ(bpf_tc_attach(&hook, &options), 0);

  expect_put_back();
}

TEST_F(AttachmentTest, RemovedPinsComeBack) {
  std::vector<fs::path> pins;
  for (const auto& entry : fs::directory_iterator(pins_)) pins.push_back(entry.path());
  ASSERT_GT(pins.size(), 20U);
  for (const fs::path& pin : pins) ASSERT_TRUE(fs::remove(pin));
  ASSERT_TRUE(fs::remove(pins_));

  expect_put_back();
  for (const fs::path& pin : pins) EXPECT_TRUE(fs::exists(pin)) << pin;
}

TEST_F(AttachmentTest, APinThatAnotherMapHasTakenComesBack) {
  ASSERT_TRUE(fs::remove(pins_ / "flows"));
  const Fd other(bpf_map_create(BPF_MAP_TYPE_HASH, "other", 4, 4, 1, nullptr));
  ASSERT_EQ(bpf_obj_pin(other.get(), (pins_ / "flows").c_str()), 0);

  expect_put_back();
  EXPECT_TRUE(is_pinned(pins_ / "flows", running_->programs.map_fd("flows")));
}

TEST_F(AttachmentTest, TheLinkAndItsFolderComeBackTogether) {
  const Fd link(bpf_obj_get((pins_ / kLinkPin).c_str()));
  ASSERT_EQ(bpf_link_detach(link.get()), 0);
  fs::remove_all(pins_);

  expect_put_back();
  EXPECT_TRUE(has_root_on("lb"));
}

TEST_F(AttachmentTest, TheStageComesBackIntoItsSlot) {
  const int slots = running_->programs.map_fd(kRootArray);
  constexpr __u32 kStage = SLOT_MQTT;
  ASSERT_EQ(bpf_map_delete_elem(slots, &kStage), 0);
  expect_put_back();

  const int other = running_->programs.program(kForwardProgram).fd;
  ASSERT_EQ(bpf_map_update_elem(slots, &kStage, &other, BPF_ANY), 0);
  expect_put_back();
}

// An operator may put another program there, so remorad does not.
TEST_F(AttachmentTest, AnEmptyForwardersSlotIsAProblem) {
  const int slots = running_->programs.map_fd(kRootArray);
  constexpr __u32 kSlot = SLOT_FORWARDER;
  ASSERT_EQ(bpf_map_delete_elem(slots, &kSlot), 0);

  EXPECT_TRUE(attachment_->look()) << "checks do not need it";
  expect_problem("forwarder's slot is empty");

  const int program = running_->programs.program(kForwardProgram).fd;
  ASSERT_EQ(bpf_map_update_elem(slots, &kSlot, &program, BPF_ANY), 0);
  expect_in_order();
}

TEST_F(AttachmentTest, GroThatIsTurnedOnIsTurnedOffAgain) {
  sh("ethtool -K lb gro on");
  attachment_->look();
  EXPECT_FALSE(turn_off_gro("lb")) << "it was on";
}

TEST_F(AttachmentTest, SomebodyElsesProgramIsAProblemAsLongAsItIsThere) {
  const Fd link(bpf_obj_get((pins_ / kLinkPin).c_str()));
  ASSERT_EQ(bpf_link_detach(link.get()), 0);
  const int other = running_->programs.program(kForwardProgram).fd;
  const int index = static_cast<int>(network_->lb_index());
  ASSERT_EQ(bpf_xdp_attach(index, other, XDP_FLAGS_SKB_MODE, nullptr), 0);

  EXPECT_FALSE(attachment_->look());
  EXPECT_FALSE(attachment_->is_complete());
  expect_problem("is on the interface already");
  EXPECT_FALSE(attachment_->look());

  ASSERT_EQ(bpf_xdp_detach(index, XDP_FLAGS_SKB_MODE, nullptr), 0);
  expect_put_back();
}

TEST_F(AttachmentTest, ARenamedInterfaceKeepsItsProgramsAndIsAProblem) {
  sh("ip link set lb down && ip link set lb name lb9 && ip link set lb9 up");

  EXPECT_TRUE(attachment_->look());
  EXPECT_TRUE(attachment_->is_complete());
  expect_problem("called lb9 now");
  EXPECT_TRUE(has_root_on("lb9"));

  // Programs are still put back on the renamed interface.
  sh("tc qdisc del dev lb9 clsact");
  EXPECT_FALSE(attachment_->look());
  EXPECT_TRUE(attachment_->look());
  EXPECT_EQ(filters_on("lb9"), 3);

  // Another interface with the old name is left alone.
  sh("ip link add lb type veth peer name other");
  EXPECT_TRUE(attachment_->look());
  EXPECT_EQ(program_on("lb"), 0U);
  sh("ip link del lb");

  sh("ip link set lb9 down && ip link set lb9 name lb && ip link set lb up");
  expect_in_order();
  EXPECT_TRUE(moves_.empty());
}

TEST_F(AttachmentTest, AnInterfaceThatIsMadeAnewGetsThePrograms) {
  const unsigned before = network_->lb_index();
  sh("ip link del lb");
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(attachment_->look());
    EXPECT_FALSE(attachment_->is_complete());
    expect_problem("lb is gone");
  }

  sh("ip link add between type veth peer name other && ip link add gw type veth peer name lb");
  expect_put_back();
  ASSERT_EQ(moves_.size(), 1U);
  EXPECT_NE(moves_[0].index, before);
  EXPECT_EQ(moves_[0].index, network_->lb_index());
}

TEST_F(AttachmentTest, ItMayHaveTheSameIndex) {
  const std::string index = std::to_string(network_->lb_index());
  sh("ip link del lb && ip link add name lb index " + index + " type veth peer name gw");
  ASSERT_FALSE(has_root_on("lb"));

  expect_put_back();
}

TEST_F(AttachmentTest, AnotherInterfaceWithItsIndexIsLeftAlone) {
  const std::string index = std::to_string(network_->lb_index());
  sh("ip link del lb && ip link add name other index " + index + " type veth peer name gw");

  EXPECT_FALSE(attachment_->look());
  expect_problem("lb is gone");
  EXPECT_EQ(program_on("other"), 0U);
  EXPECT_EQ(filters_on("other"), 0);
}

TEST_F(AttachmentTest, AnInterfaceThatWasInAnotherNamespaceHasItsProgramsAgain) {
  const Fd here = present_namespace();
  Fd there;
  std::thread([&] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    there = present_namespace();
  }).join();

  sh("ip link set lb netns " + path_of(there));
  EXPECT_FALSE(attachment_->look());
  expect_problem("lb is gone");

  sh("nsenter --net=" + path_of(there) + " ip link set lb netns " + path_of(here));
  expect_put_back();
}

TEST_F(AttachmentTest, WithoutDescriptorsNothingSeemsToBeMissing) {
  const unsigned index = network_->lb_index();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{300, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  std::vector<Fd> all;
  do {
    all.emplace_back(::open("/dev/null", O_RDONLY));
  } while (all.back());

  const bool is_in_order = attachment_->look();
  // find_link() has no reserved descriptor: it throws, and does not report that lb is gone.
  EXPECT_THROW(find_link("lb"), std::system_error);
  EXPECT_THROW(find_name(index), std::system_error);
  all.clear();
  setrlimit(RLIMIT_NOFILE, &before);

  EXPECT_TRUE(is_in_order) << attachment_->problem();
  EXPECT_EQ(attachment_->problem(), "");
}

TEST_F(AttachmentTest, DetachFindsARenamedInterface) {
  sh("ip link set lb down && ip link set lb name lb9");
  running_.reset();

  EXPECT_TRUE(Programs::detach(pins_, 0));

  EXPECT_EQ(program_on("lb9"), 0U);
  EXPECT_EQ(filters_on("lb9"), 0);
  sh("ip link set lb9 name lb");
}

}  // namespace
}  // namespace remora
