// SPDX-License-Identifier: Apache-2.0
//
// Merges lessons into the kernel's predictions with the program `lessons`, which applies
// the rule of the packet path (bpf/lesson.h) and does not lose against it: a look-up and an
// update from here would.
#pragma once

#include <span>

#include "bpf/abi.h"

namespace remora {

class LessonWriter {
 public:
  // Of kLessonsProgram, loaded, which must outlive it.
  explicit LessonWriter(int program_fd) : program_fd_(program_fd) {}

  // Merges all, and writes the outcome of each. Any thread. Throws std::system_error.
  void merge(std::span<lesson> lessons) const;

 private:
  int program_fd_;
};

}  // namespace remora
