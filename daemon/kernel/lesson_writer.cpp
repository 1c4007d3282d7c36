// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/lesson_writer.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace remora {

void LessonWriter::merge(std::span<lesson> lessons) const {
  while (!lessons.empty()) {
    const auto frame = lessons.first(std::min<std::size_t>(lessons.size(), MAX_LESSONS));
    const auto bytes = static_cast<__u32>(frame.size_bytes());
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(), .data_out = frame.data(),
                .data_size_in = bytes, .data_size_out = bytes, .repeat = 1);
    if (bpf_prog_test_run_opts(program_fd_, &options) != 0) {
      throw std::system_error(errno, std::generic_category(), "cannot merge lessons");
    }
    lessons = lessons.subspan(frame.size());
  }
}

}  // namespace remora
