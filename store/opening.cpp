// SPDX-License-Identifier: Apache-2.0
#include "store/opening.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "store/migration.h"

namespace remora {
namespace {

// Size to which the -wal file is cut after a checkpoint has emptied it.
constexpr int kWalLimitBytes = 64 << 20;

// The widest permissions, whatever the umask.
constexpr mode_t kMode = 0640;
constexpr mode_t kPermissions = 07777;

// Throws for the first fault in the file's structure. A check that takes too long counts as good.
void check(Connection& connection, std::chrono::milliseconds limit) {
  const TimeLimit time_limit(connection, limit);
  try {
    std::string found = connection.text("PRAGMA quick_check(1)");
    if (found == "ok") return;
    std::ranges::replace(found, '\n', ' ');  // a log message is one line
    throw DatabaseError("checking the file", SQLITE_CORRUPT, found);
  } catch (const DatabaseError& error) {
    if (error.code() != SQLITE_INTERRUPT) throw;
  }
}

// SQLite creates missing files with the mode that the umask leaves.
void create(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, kMode);
  if (file >= 0) ::close(file);
}

// The history tells who published what, so others may not read it. SQLite gives the mode of the
// database to the other files that it creates. The files are not opened for this, because closing
// one would drop SQLite's locks, which belong to the process.
void take_from_others(const std::filesystem::path& path) {
  for (const char* part : {"", "-wal", "-shm"}) {
    const std::string name = path.string() + part;
    struct stat status {};
    if (::stat(name.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    if ((status.st_mode & kPermissions & ~kMode) != 0) {
      ::chmod(name.c_str(), status.st_mode & kMode);
    }
  }
}

// SQLite would wait for the other end of a pipe.
void refuse_special_file(const std::filesystem::path& path) {
  std::error_code none;
  const auto status = std::filesystem::status(path, none);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    throw DatabaseError("opening '" + path.string() + "'", SQLITE_CANTOPEN,
                        "it is not a regular file");
  }
}

}  // namespace

Connection open_to_write(const std::filesystem::path& path, std::chrono::milliseconds check_limit,
                         std::span<const ServiceName> services) {
  refuse_special_file(path);
  create(path);
  Connection connection(path, Access::read_write);
  take_from_others(path);
  connection.keep_log_on_close();  // a damaged file is evidence
  identify(connection);
  check(connection, check_limit);
  if (connection.is_read_only()) {
    const bool may_write = ::access(path.c_str(), W_OK) == 0;
    throw DatabaseError("opening '" + path.string() + "'",
                        may_write ? SQLITE_CORRUPT : SQLITE_READONLY,
                        may_write ? "its header says that it is read-only" : "it is read-only");
  }
  // A commit need not reach the disk at once: after a power failure the last ones may be missing,
  // but the file is sound.
  connection.execute("PRAGMA journal_mode = WAL");
  connection.execute("PRAGMA synchronous = NORMAL");
  connection.execute("PRAGMA journal_size_limit = " + std::to_string(kWalLimitBytes));
  migrate(connection, services);
  connection.checkpoint_by_hand();
  connection.empty_log_on_close();
  return connection;
}

// SQLite's readers share an index of the log in a file of its own (-shm). If a full disk has no
// room for that file, a connection that uses the database alone keeps the index in memory.
Connection open_to_read(const std::filesystem::path& path) {
  refuse_special_file(path);
  try {
    Connection connection(path, Access::read_only);
    connection.integer("PRAGMA schema_version");
    return connection;
  } catch (const DatabaseError& error) {
    if (error.code() != SQLITE_IOERR && error.code() != SQLITE_FULL) throw;
  }
  Connection connection(path, Access::read_write);
  connection.keep_log_on_close();
  connection.execute("PRAGMA locking_mode = EXCLUSIVE");
  return connection;
}

}  // namespace remora
