// SPDX-License-Identifier: Apache-2.0
//
// ABI 4 to 5: new fields in a flow, 16 bits of flags, a larger head of the ring's records; a
// prediction has the time of its lesson.
#pragma once

#include "bpf/abi.h"
#include "daemon/base/lesson_clock.h"
#include "daemon/kernel/abi/abi_4.h"
#include "daemon/kernel/abi/conversion.h"

namespace remora {

AbiStep step_from_4(const OpenPin& pins);

// Its parts, visible to tests.
flow flow_from_4(const abi4::flow& old);
event event_from_4(const abi4::event& old);
prediction prediction_from_4(const abi4::prediction& old, const LessonClock& clock);

}  // namespace remora
