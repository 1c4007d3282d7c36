// SPDX-License-Identifier: Apache-2.0
//
// Explains the kernel's refusals, and what to do about them.
#pragma once

#include <string>

namespace remora {

// The system's text for an errno of either sign.
std::string because(int error);

// What to do when the kernel refuses to make a program or map with this errno.
std::string remedy_for_load(int error);

}  // namespace remora
