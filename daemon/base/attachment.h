// SPDX-License-Identifier: Apache-2.0
//
// Where to find an instance's programs in the kernel.
#pragma once

#include <linux/types.h>

namespace remora {

// The pin of the link that holds the root program on the interface, next to the pins of the maps.
inline constexpr const char* kLinkPin = "xdp_link";
// Where the TC probe is among other classifiers: its handle; its priority.
inline constexpr __u32 kProbeHandle = 1;
inline constexpr __u32 kProbePriority = 0x7265;

}  // namespace remora
