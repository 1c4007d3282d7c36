// SPDX-License-Identifier: Apache-2.0
// Distinguishes a history from other files, and migrates one of an earlier version to the present
// schema.
#pragma once

#include <span>
#include <stdexcept>

#include "store/database.h"
#include "store/observation.h"

namespace remora {

// PRAGMA user_version of the files that this version writes.
inline constexpr int kSchemaVersion = 6;

// The file is sound, but belongs to another program or to a newer version of this one.
class ForeignFile : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Throws ForeignFile unless the file is a history of a known version, or new and empty;
// DatabaseError if header and tables contradict each other.
void identify(Connection& connection);

// Migrates the file to the present schema, all or nothing. Takes the write lock in any case, so
// that a file that cannot be written is noticed here. Version 1 knew services by name; `services`
// tells which address and port each name stands for now. Rows of other services stay as they are.
void migrate(Connection& connection, std::span<const ServiceName> services);

}  // namespace remora
