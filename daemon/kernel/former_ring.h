// SPDX-License-Identifier: Apache-2.0
//
// The ring of an earlier ABI, with its records converted to the present layout.
#pragma once

#include <functional>

#include "daemon/base/fd.h"
#include "daemon/base/handles.h"
#include "daemon/kernel/abi/chain.h"

namespace remora {

class FormerRing {
 public:
  FormerRing(Fd map, MapConverter converter);

  // Passes on all records that are there. Throws std::system_error.
  void drain(const std::function<void(EntryView record)>& take);

 private:
  Fd map_;
  MapConverter converter_;
};

}  // namespace remora
