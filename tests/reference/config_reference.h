// SPDX-License-Identifier: Apache-2.0
//
// The parts of documents that describe the keys of a configuration file, from the rows of keys.
#pragma once

#include <string>
#include <string_view>

#include "daemon/config/keys.h"

namespace remora::reference {

// The rows of a table as a Markdown table.
std::string key_table(const Keys& keys, std::string_view table);

// The same for a man page, in scdoc's format.
std::string key_entries(const Keys& keys, std::string_view table);

// The keys that need `change`, for a man page: "*interface* of *[lb]*, …".
std::string keys_that_need(const Keys& keys, Change change);

// The memory of the kernel's tables with the default limits, as a Markdown table.
std::string memory_table();

// An example file with its comments. Comments directly above a setting explain its key; a setting
// in a comment is the default. Missing keys are added to tables that occur once. Throws
// std::runtime_error for another missing key.
std::string with_comments(const Keys& keys, std::string_view example);

}  // namespace remora::reference
