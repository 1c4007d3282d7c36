// SPDX-License-Identifier: Apache-2.0
//
// Counts what arrives: as a subscriber at real brokers, or in place of brokers.
//
// One thread: that of the loop. Standard input asks: each line is answered with the counts so far,
// and its end ends the program.
#pragma once

#include <list>
#include <memory>
#include <vector>

#include "bench/load/receiving_connection.h"
#include "bench/load/tally.h"
#include "daemon/base/event_loop.h"
#include "daemon/base/fd.h"

namespace remora::load {

class Receiver {
 public:
  Receiver();

  // A subscriber to everything at each of these brokers.
  void subscribe(const std::vector<Endpoint>& brokers);
  // A listener for each of these places, which answers as a broker does.
  void listen(const std::vector<Endpoint>& places);
  // Prints "ready", once every subscription is in force, and then the answers.
  void run();

 private:
  void accept(const Fd& listener, std::size_t broker);
  void add(Fd socket, std::size_t broker, ReceivingConnection::Role role);
  void read_questions();
  void clean_up();

  EventLoop loop_;
  Tally tally_;
  std::vector<Fd> listeners_;
  std::vector<std::unique_ptr<router::Watch>> acceptable_;
  std::list<std::unique_ptr<ReceivingConnection>> connections_;
  std::size_t waiting_ = 0;  // subscriptions that are not in force yet
};

}  // namespace remora::load
