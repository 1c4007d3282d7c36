// SPDX-License-Identifier: Apache-2.0
//
// Checks a broker as an MQTT client, with Paho: CONNECT, CONNACK, DISCONNECT (MQTT 3.1.1 §3).
//
// Paho has threads of its own and may wait inside its calls, so one thread of ours makes all of
// them. Results reach the loop through a queue and an eventfd.
#pragma once

#include <memory>
#include <string>

#include "daemon/base/event_loop.h"
#include "daemon/health/prober.h"

namespace remora {

// Fields of the CONNECT.
struct MqttLogin {
  std::string client_id = {};  // beginning of all client identifiers
  std::string username = {};   // empty: no user name and no password
  std::string password = {};
  // Seconds, longer than the time limit of a check.
  std::uint32_t patience_s = 60;
};

// Interprets a CONNACK's return code (MQTT 3.1.1 §3.2.2.3) or an error number of Paho. A living
// broker may refuse a check without credentials.
CheckResult result_of_connack(int code, const MqttLogin& login);

class MqttProber : public Prober {
 public:
  // `loop` must outlive it. Its destructor waits until Paho's threads have ended, up to a
  // second. Throws std::system_error.
  MqttProber(EventLoop& loop, Handler on_result, HasLeft has_left);
  ~MqttProber() override;
  MqttProber(const MqttProber&) = delete;
  MqttProber& operator=(const MqttProber&) = delete;

  // Sets the login of checks that start from now on.
  void use(MqttLogin login);

  void start(std::uint64_t id, const Endpoint& to) override;
  void end(std::uint64_t id) override;
  bool has_left(std::uint64_t id) const override;

 private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace remora
