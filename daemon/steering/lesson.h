// SPDX-License-Identifier: Apache-2.0
//
// A lesson: this client published this topic then. By lessons predictions move between
// the kernel, the history and the daemon.
//
// A value of names, never of numbers: those of groups and services, monotonic times and the
// keys of hashes mean something on one LB only.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/base/endpoint.h"
#include "daemon/base/lesson_clock.h"

namespace remora {

enum class Origin : std::uint8_t {
  kDaemon,   // drawn by this daemon from a PUBLISH
  kHistory,  // learned earlier, and kept
};

struct Lesson {
  Endpoint service;
  Address client;
  std::string topic;
  std::string group;  // to which the topic belongs by the routes in force
  LessonTime time;
  Origin origin;
};

}  // namespace remora
