// SPDX-License-Identifier: Apache-2.0
//
// Tells which flows are connections that their clients still use.
#pragma once

#include "bpf/abi.h"

namespace remora {

inline bool is_living(const flow& entry) {
  return entry.state == FLOW_ESTABLISHED || entry.state == FLOW_LEAVING ||
         entry.state == FLOW_HURRIED;
}

}  // namespace remora
