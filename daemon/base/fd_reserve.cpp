// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/fd_reserve.h"

#include <fcntl.h>

namespace remora {
namespace {

Fd open_any() noexcept {
  return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

}  // namespace

FdReserve::Loan FdReserve::lend() {
  if (!open_any()) kept_.clear();
  return Loan(*this);
}

void FdReserve::fill() noexcept {
  kept_.reserve(kKept);  // only once: clear() keeps the memory
  while (kept_.size() < kKept) {
    Fd one = open_any();
    if (!one) return;
    kept_.push_back(std::move(one));
  }
}

}  // namespace remora
