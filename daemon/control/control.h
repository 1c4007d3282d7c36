// SPDX-License-Identifier: Apache-2.0
//
// The control socket: remoractl asks and the daemon answers, with one JSON object per line.
//
//   {"request":"status"}  ->  {"ok":true,…} or {"ok":false,"error":"…"}
//
// The cost of a client is bounded. It must send its request and take the answer within a time
// limit, which a single byte does not extend. Its next request waits until it has taken the answer.
// If there are too many connections, the user with the most of them loses the one that waits
// longest. A reserve of descriptors serves clients when all others are used up. If these are used
// up as well, a client that waits goes in the same way.
//
// daemon/protocol/requests.h lists the requests. The members of an answer keep the order in which
// they are made: counters are in the order of bpf/counters.h.
#pragma once

#include <sys/time.h>
#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <list>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "daemon/base/event_loop.h"
#include "daemon/base/fd_reserve.h"

namespace remora {

// The process at the other end.
struct Peer {
  uid_t uid;
};

class Control {
 public:
  // Answers a request, or throws std::exception that says what is wrong with it.
  using Handler = std::function<nlohmann::ordered_json(const nlohmann::ordered_json& request,
                                                       const Peer& peer)>;

  // Time for a client to send its request, or to take its answer.
  static constexpr std::chrono::milliseconds kPatience{10'000};

  // Listens on a Unix socket at `path`, which only its owner may use; replaces a leftover socket.
  // `loop` must outlive it. Throws std::runtime_error.
  Control(EventLoop& loop, std::filesystem::path path, Handler handler,
          std::chrono::milliseconds patience = kPatience);
  ~Control();

  // Called from time to time: listens again if somebody has removed or replaced the socket's file.
  // Throws std::runtime_error.
  void look();

  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

 private:
  struct Client {
    Control* control;
    Peer peer;
    BuffereventHandle stream;
    EventHandle deadline;  // for the request and its answer together
  };
  static constexpr std::size_t kLongestRequest = 65536;
  static constexpr std::size_t kMostClients = 64;

  void listen();
  void accept(int fd);
  void accept_with_reserve();
  void drop_longest_waiting();
  void serve(Client& client);
  void renew(Client& client);
  std::string answer(std::string_view line, const Peer& peer) const;
  void drop(Client& client);

  const std::filesystem::path path_;
  EventLoop& loop_;
  Handler handler_;
  const timeval patience_;
  FdReserve reserve_;
  ListenerHandle listener_;
  ino_t inode_ = 0;            // of the socket's file
  EventHandle rested_;         // fires when the listener may accept again
  std::list<Client> clients_;  // the one that has waited longest first
};

}  // namespace remora
