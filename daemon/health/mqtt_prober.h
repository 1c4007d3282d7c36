// SPDX-License-Identifier: Apache-2.0
//
// Checks as an MQTT client: CONNECT, CONNACK, DISCONNECT (MQTT 3.1.1 §3), by Paho.
//
// Paho works with threads of its own and may wait inside of its calls, so all of them are
// made by one thread of ours; what it has to say reaches the loop through a queue and an
// eventfd.
#pragma once

#include <memory>
#include <string>

#include "daemon/base/event_loop.h"
#include "daemon/health/prober.h"

namespace remora {

// Of the CONNECT.
struct MqttLogin {
  std::string client_id = {};  // what each client identifier begins with
  std::string username = {};   // empty: none, and no password
  std::string password = {};
  // Longer than what ends a check otherwise, seconds.
  std::uint32_t patience_s = 60;
};

// What a CONNACK with this return code (MQTT 3.1.1 §3.2.2.3) says of the broker; other
// numbers are those of Paho. A living broker may refuse a check without credentials.
CheckResult result_of_connack(int code, const MqttLogin& login);

class MqttProber : public Prober {
 public:
  // `loop` must outlive it. Its destructor waits until Paho's threads have ended, up to a
  // second. Throws std::system_error.
  MqttProber(EventLoop& loop, Handler on_result, HasLeft has_left);
  ~MqttProber() override;
  MqttProber(const MqttProber&) = delete;
  MqttProber& operator=(const MqttProber&) = delete;

  // For checks that start from here on.
  void use(MqttLogin login);

  void start(std::uint64_t id, const Endpoint& to) override;
  void end(std::uint64_t id) override;
  bool has_left(std::uint64_t id) const override;

 private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace remora
