// SPDX-License-Identifier: Apache-2.0
//
// Keeps descriptors for work that must succeed when all others are used up.
#pragma once

#include <cstddef>
#include <vector>

#include "daemon/base/fd.h"

namespace remora {

class FdReserve {
 public:
  // While it exists there are free descriptors, unless another thread takes them.
  class Loan {
   public:
    explicit Loan(FdReserve& reserve) : reserve_(reserve) {}
    ~Loan() { reserve_.fill(); }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;

   private:
    FdReserve& reserve_;
  };

  FdReserve() { fill(); }

  // Releases the reserve if there are no other descriptors. `this` must outlive the loan.
  [[nodiscard]] Loan lend();

 private:
  static constexpr std::size_t kKept = 8;

  // Fills the reserve as far as there are descriptors.
  void fill() noexcept;

  std::vector<Fd> kept_;
};

}  // namespace remora
