// SPDX-License-Identifier: Apache-2.0
//
// What the kernel's refusals mean to whoever starts the daemon.
#pragma once

#include <string>

namespace remora {

// The system's word for an errno, of either sign.
std::string because(int error);

// What to do about a program or map that the kernel did not make, by its errno.
std::string remedy_for_load(int error);

}  // namespace remora
