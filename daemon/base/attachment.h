// SPDX-License-Identifier: Apache-2.0
//
// Where an instance's programs are found in the kernel.
#pragma once

#include <linux/types.h>

namespace remora {

// The pin, beside those of the maps, of the link that holds the root program on the
// interface.
inline constexpr const char* kLinkPin = "xdp_link";
// Where the TC probe sits among other classifiers: one handle, one priority.
inline constexpr __u32 kProbeHandle = 1;
inline constexpr __u32 kProbePriority = 0x7265;

}  // namespace remora
