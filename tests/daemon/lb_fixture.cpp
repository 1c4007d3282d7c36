// SPDX-License-Identifier: Apache-2.0
#include "tests/daemon/lb_fixture.h"

#include <unistd.h>

namespace remora {

namespace fs = std::filesystem;

std::string LbText::text() const {
  std::string text = "[lb]\ninterface = \"lb\"\ngateway_mac = \"02:00:00:00:00:01\"\n" + lb;
  text +=
      "[[service]]\nname = \"mqtt\"\naddress = \"10.1.50.200\"\nport = 1883\n"
      "default_group = \"rest\"\n";
  for (const Group& group : groups) {
    text += "[[group]]\nname = \"" + group.name + "\"\nvip = \"" + group.vip + "\"\n";
    if (group.reals.empty()) continue;  // a Katran server has its own
    text += "reals = [\n";
    for (const Real& real : group.reals) {
      text += "  { address = \"" + real.address + "\", weight = " + std::to_string(real.weight) +
              " },\n";
    }
    text += "]\n";
  }
  for (const Route& route : routes) {
    text += "[[route]]\nfilter = \"" + route.filter + "\"\ngroup = \"" + route.group + "\"\n";
  }
  return text + "[limits]\nhalf_open = 1024\nevents_kib = 64\n" + limits;
}

Running::Running(const Config& a_config, const fs::path& pins, unsigned interface)
    : config(a_config),
      programs(config, pins, interface),
      forwarder(make_forwarder(config, programs, interface)),
      maps(programs),
      ids(maps, 64),
      steering(maps, ids, *forwarder) {
  steering.apply(config, kMtu);
}

void Running::attach() {
  programs.attach(forwarder->slot_program());
  forwarder->settle(programs.folder());
}

void LbTest::SetUp() {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  network_.emplace();
  const std::string name = "test-" + std::to_string(getpid());
  pins_ = pin_folder("/sys/fs/bpf", name);
  files_ = fs::temp_directory_path() / ("remora-" + name);
  fs::create_directories(files_);
}

void LbTest::TearDown() {
  if (!network_) return;
  running_.reset();
  Programs::detach(pins_, network_->lb_index());
  fs::remove_all(files_);
}

std::unique_ptr<Running> LbTest::run(const Config& config) const {
  return std::make_unique<Running>(config, pins_, network_->lb_index());
}

}  // namespace remora
