// SPDX-License-Identifier: Apache-2.0
//
// Merges lessons into the kernel's predictions with the program `lessons`, which applies the rule
// of the packet path (bpf/lesson.h). A look-up and an update from user space would race with the
// packet path.
#pragma once

#include <span>

#include "bpf/abi.h"

namespace remora {

class LessonWriter {
 public:
  // `program_fd` is that of kLessonsProgram, which must be loaded and outlive it.
  explicit LessonWriter(int program_fd) : program_fd_(program_fd) {}

  // Merges all lessons, and writes the outcome into each. Any thread. Throws std::system_error.
  void merge(std::span<lesson> lessons) const;

 private:
  int program_fd_;
};

}  // namespace remora
