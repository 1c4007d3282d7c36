// SPDX-License-Identifier: Apache-2.0
//
// A lesson: this client published this topic at that time. Predictions move between the kernel, the
// history and the daemon as lessons.
//
// It contains names, never numbers: numbers of groups and services, monotonic times and the keys of
// hashes have a meaning on one LB only.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/base/endpoint.h"
#include "daemon/base/lesson_clock.h"

namespace remora {

enum class Origin : std::uint8_t {
  kDaemon,   // drawn by this daemon from a PUBLISH
  kHistory,  // learned earlier, and kept in the history
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
