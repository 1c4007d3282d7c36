// SPDX-License-Identifier: Apache-2.0
//
// The actions that the engine asks for. Bytes are no actions: they wait in outboxes (outbox.h).
#pragma once

#include <string>
#include <variant>

#include "daemon/router/options.h"

namespace remora::router {

// Connect to a real of the group. The same key leads to the same real as long as no attempt has
// failed; each further attempt must choose another real, if the group has one.
struct OpenSession {
  SessionId session;
  GroupId group;
  std::uint64_t key;
  unsigned attempt;

  bool operator==(const OpenSession&) const = default;
};

// Close the session's socket, or give up the attempt to open it. The engine has forgotten it.
struct CloseSession {
  SessionId session;

  bool operator==(const CloseSession&) const = default;
};

struct CloseClient {
  bool operator==(const CloseClient&) const = default;
};

// The client has published another topic than before.
struct Learn {
  std::string topic;
  GroupId group;

  bool operator==(const Learn&) const = default;
};

// Remember where a client with a persistent session has its home.
struct RememberHome {
  std::string client_id;
  GroupId group;

  bool operator==(const RememberHome&) const = default;
};

// The stream does not begin with an MQTT CONNECT, and is relayed as bytes.
struct NotMqtt {
  bool operator==(const NotMqtt&) const = default;
};

using Action = std::variant<OpenSession, CloseSession, CloseClient, Learn, RememberHome, NotMqtt>;

}  // namespace remora::router
