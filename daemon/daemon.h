// SPDX-License-Identifier: Apache-2.0
//
// remorad: all parts of one instance, in the order in which they need each other.
#pragma once

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "daemon/attachment.h"
#include "daemon/base/driver_stats.h"
#include "daemon/base/event_loop.h"
#include "daemon/base/link.h"
#include "daemon/base/link_follower.h"
#include "daemon/config/config.h"
#include "daemon/control/control.h"
#include "daemon/control/dispatcher.h"
#include "daemon/control/reals_admin.h"
#include "daemon/control/reloader.h"
#include "daemon/control/status.h"
#include "daemon/events/reader.h"
#include "daemon/events/recorder.h"
#include "daemon/forwarders/forwarder.h"
#include "daemon/health/checks.h"
#include "daemon/instance.h"
#include "daemon/kernel/event_ring.h"
#include "daemon/kernel/fill_gauge.h"
#include "daemon/kernel/flow_scan.h"
#include "daemon/kernel/ids.h"
#include "daemon/kernel/maps.h"
#include "daemon/kernel/programs.h"
#include "daemon/routing/routing.h"
#include "daemon/sessions/ender.h"
#include "daemon/sessions/evacuation.h"
#include "daemon/sessions/flow_counts.h"
#include "daemon/sessions/pressure.h"
#include "daemon/sessions/severance.h"
#include "daemon/sessions/sweeper.h"
#include "daemon/steering/predictions.h"
#include "daemon/steering/steering.h"
#include "store/history.h"

namespace remora {

class Daemon {
 public:
  // Loads and attaches everything, and the predictions before the first packet is judged. Throws
  // with the remedy; then nothing stays half attached.
  Daemon(Places places, Config config);

  // Serves until SIGTERM or SIGINT. Forwarding goes on afterwards.
  void run();

 private:
  void start_timers();
  void beat() const;
  void read_former_ring();
  void move_to(const Link& link);
  bool is_host_in_order();
  void remember_health(const char* what, const std::string& group, const Address& real,
                       const std::string& detail);
  void look_at_history();
  void release_records();
  ReloadResult reload();
  void tell_systemd();
  StatusSources sources() const;

  const Places places_;
  Config config_;
  const std::uint64_t started_at_ns_;
  std::time_t config_read_at_;        // the one in force
  std::string unit_status_;           // as systemd knows it
  std::uint64_t loaded_history_ = 0;  // number of the History's opening that was loaded last
  const Link link_;                   // as it was at the start
  EventLoop loop_;
  Instance instance_;
  Programs programs_;
  const std::unique_ptr<Forwarder> forwarder_;
  Maps maps_;
  Ids ids_;
  History history_;
  Steering steering_;
  Predictions predictions_;
  Ender ender_;
  Recorder recorder_;
  Evacuation evacuation_;
  Severance severance_;
  RealsAdmin reals_admin_;
  HealthChecks health_;
  EventReader events_;
  Sweeper sweeper_;
  FlowCounts flow_counts_;
  Pressure pressure_;
  Routing routing_;
  FlowScan flow_scan_;
  std::vector<FillGauge> fill_gauges_;
  LinkFollower follower_;
  XdpTxWatch xdp_tx_;
  Attachment attachment_;
  Reloader reloader_;
  const Dispatcher dispatcher_;
  Control control_;
};

// Removes an instance from its interface. Returns whether there was anything to remove.
bool detach_instance(const Places& places, const Config& config);

}  // namespace remora
