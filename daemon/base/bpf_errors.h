// SPDX-License-Identifier: Apache-2.0
//
// Explains refusals of the kernel, and how to fix them.
#pragma once

#include <string>

namespace remora {

// The system's text for an errno, positive or negative.
std::string because(int error);

// The remedy if the kernel refuses to make a program or map with this errno.
std::string remedy_for_load(int error);

}  // namespace remora
