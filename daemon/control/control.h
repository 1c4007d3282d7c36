// SPDX-License-Identifier: Apache-2.0
//
// The control socket: remoractl asks, the daemon answers, one JSON object a line.
//
//   {"request":"status"}  ->  {"ok":true,…} or {"ok":false,"error":"…"}
//
// What a client can cost is bounded. It must ask and take the answer within a patience that no
// single byte renews. Its next request waits until it has taken the answer. When there are too
// many connections, one of the user that has most of them goes: that which waits longest. A reserve
// of descriptors serves clients when all others are used up.
//
// daemon/protocol/requests.h lists the requests. The members of an answer keep the order in which
// they are made: counters stand as in bpf/counters.h.
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
  // Answers a request, or throws std::exception with what is wrong with it.
  using Handler = std::function<nlohmann::ordered_json(const nlohmann::ordered_json& request,
                                                       const Peer& peer)>;

  // How long a client may take to ask, or to take its answer.
  static constexpr std::chrono::milliseconds kPatience{10'000};

  // Listens on a Unix socket at `path`, for its owner alone; a leftover is
  // replaced. `loop` must outlive it. Throws std::runtime_error.
  Control(EventLoop& loop, std::filesystem::path path, Handler handler,
          std::chrono::milliseconds patience = kPatience);
  ~Control();

  // Called now and then: if somebody has removed the socket's file, or put another there, listens
  // anew. Throws std::runtime_error.
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
  EventHandle rested_;         // the listener accepts again
  std::list<Client> clients_;  // the one that waits longest first
};

}  // namespace remora
