// SPDX-License-Identifier: Apache-2.0
//
// How two accepted configurations differ, in words. Pure.
#pragma once

#include <string>
#include <vector>

#include "daemon/config/config.h"

namespace remora {

// One line for each difference, in the order of the file's tables: "route a/b: group warm, was
// rest". How the values are written in the file does not matter, nor does the order of lists.
std::vector<std::string> describe_changes(const Config& before, const Config& after);

}  // namespace remora
