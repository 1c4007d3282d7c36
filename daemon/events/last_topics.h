// SPDX-License-Identifier: Apache-2.0
//
// The last unjudged topic of each client that has published one lately.
//
// Pure. The flow's last topic lets the kernel tell new topics from repeated ones, but not for
// topics that it does not judge. The number of clients is limited: the one whose topic changed
// longest ago makes room, and its next topic counts as new.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <string_view>

#include "daemon/base/address.h"

namespace remora {

class LastTopics {
 public:
  explicit LastTopics(std::size_t room = 4096) : room_(room) {}

  // Whether the client's last topic was different. If so, `topic` replaces it.
  bool is_news(const client_key& client, std::string_view topic);

 private:
  using Client = std::pair<Address, std::uint16_t>;
  struct Last {
    std::size_t topic_hash;  // a collision costs a row of the history
    std::list<Client>::iterator age;
  };

  const std::size_t room_;
  std::list<Client> ages_;  // the oldest first
  std::map<Client, Last> last_;
};

}  // namespace remora
