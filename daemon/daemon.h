// SPDX-License-Identifier: Apache-2.0
//
// remorad: all parts of one instance, in the order in which they need each other.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "daemon/bpf_programs.h"
#include "daemon/config.h"
#include "daemon/control.h"
#include "daemon/evacuation.h"
#include "daemon/event_loop.h"
#include "daemon/event_reader.h"
#include "daemon/forwarder_slot.h"
#include "daemon/health_checks.h"
#include "daemon/instance.h"
#include "daemon/katran_purge.h"
#include "daemon/katran_watch.h"
#include "daemon/link.h"
#include "daemon/link_follower.h"
#include "daemon/mender.h"
#include "daemon/numbers.h"
#include "daemon/predictions.h"
#include "daemon/recorder.h"
#include "daemon/severance.h"
#include "daemon/status.h"
#include "daemon/steering.h"
#include "daemon/sweeper.h"
#include "daemon/tables.h"
#include "store/history.h"

namespace remora {

struct Places {
  std::filesystem::path config = "/etc/remora/remora.toml";
  std::filesystem::path runtime_dir = "/run/remora";
  std::filesystem::path bpffs = "/sys/fs/bpf";
};

class Daemon {
 public:
  // Loads and attaches everything, the predictions before the first packet is
  // judged. Throws with the remedy; nothing stays half attached.
  Daemon(Places places, Config config);

  // Serves until SIGTERM or SIGINT. Forwarding goes on after it.
  void run();

 private:
  void start_timers();
  void beat() const;
  void wait_for_gateway();
  void reload();
  void real_died(const std::string& group, const Address& real);
  void real_lives(const std::string& group, const Address& real);
  void sever_dead(const std::string& group);
  nlohmann::ordered_json handle(const nlohmann::ordered_json& request);
  void evacuate(const Address& real, const std::vector<std::string>& groups,
                std::uint32_t per_second);
  nlohmann::ordered_json change_real(const nlohmann::ordered_json& request);
  StatusSources sources() const;

  const Places places_;
  Config config_;
  const std::uint64_t started_at_ns_;
  const Link link_;
  EventLoop loop_;
  Instance instance_;
  BpfPrograms programs_;
  Tables tables_;
  Numbers numbers_;
  History history_;
  Steering steering_;
  Predictions predictions_;
  std::optional<ForwarderSlot> slot_;  // of a Katran server, else none
  Mender mender_;
  Recorder recorder_;
  Evacuation evacuation_;
  Severance severance_;
  std::optional<KatranPurge> purge_;  // of an operator's Katran, else none
  HealthChecks health_;
  EventReader events_;
  Sweeper sweeper_;
  Fill fill_;
  LinkFollower follower_;
  std::optional<KatranWatch> watch_;  // where there is a slot_
  Control control_;
};

// Takes an instance off its interface. Returns whether there was anything.
bool detach(const Places& places, const Config& config);

}  // namespace remora
