// SPDX-License-Identifier: Apache-2.0
// A thin layer on SQLite's C API: handles that close themselves, and errors that keep the extended
// code, because a full disk, a damaged file and a busy one must be handled differently.
//
// A Connection and its statements belong to one thread at a time.
#pragma once

#include <sqlite3.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace remora {

class DatabaseError : public std::runtime_error {
 public:
  DatabaseError(const std::string& attempted, int extended_code, const std::string& message);

  int extended_code() const { return extended_code_; }
  // The primary code: SQLITE_FULL, SQLITE_IOERR, SQLITE_BUSY, …
  int code() const { return extended_code_ & 0xff; }
  // The content of the file is at fault, not the disk, a permission or another process.
  bool means_damage() const;

 private:
  int extended_code_;
};

enum class Access { read_only, read_write };

class Connection {
 public:
  // read_write creates a missing file.
  Connection(const std::filesystem::path& path, Access access);

  // Runs statements whose result does not matter.
  void execute(const std::string& sql);
  // The first column of the first row.
  std::int64_t integer(const std::string& sql);
  std::string text(const std::string& sql);

  // Number of rows that the last statement inserted, updated or deleted.
  std::uint64_t changes() const;
  // Id of the row that was inserted last.
  std::int64_t last_id() const;
  bool in_transaction() const;
  bool is_read_only() const;
  // Whether the file was renamed or deleted under the connection.
  bool was_moved() const;
  // A number that changes when another connection commits.
  std::int64_t data_version();

  // From now on only checkpoint() moves the -wal into the file.
  void checkpoint_by_hand();
  // Number of pages in the -wal at the last commit.
  int log_pages() const { return *log_pages_; }
  // Empties the -wal as far as no reader needs it. Returns whether all of it was moved.
  bool checkpoint();
  // Empties the -wal, also if the file has another name by now.
  void empty_log();

  // Whether the last connection that closes the file moves its -wal into it, as by default, or
  // leaves both as they are.
  void empty_log_on_close();
  void keep_log_on_close();

  sqlite3* handle() const { return handle_.get(); }
  [[noreturn]] void fail(const std::string& attempted) const;

 private:
  struct Close {
    void operator()(sqlite3* handle) const noexcept { sqlite3_close_v2(handle); }
  };

  std::unique_ptr<int> log_pages_ = std::make_unique<int>(0);  // written by SQLite
  std::unique_ptr<sqlite3, Close> handle_;
};

// Bytes to be stored as a BLOB.
struct Blob {
  std::string_view bytes;
};

struct Null {};

class Statement {
 public:
  // `connection` must outlive the statement.
  Statement(Connection& connection, std::string_view sql);

  // Starts with these values for ?1, ?2, …, which it copies.
  template <class... Values>
  Statement& start(const Values&... values) {
    reset();
    int index = 0;
    (bind(++index, values), ...);
    return *this;
  }

  // Starts and runs to the end.
  template <class... Values>
  void run(const Values&... values) {
    start(values...);
    finish();
  }

  // Runs a started statement to the end.
  void finish() {
    while (step()) {
    }
    reset();
  }

  void bind(int index, std::int64_t value);
  void bind(int index, std::string_view text);
  void bind(int index, Blob blob);
  void bind(int index, Null);

  // Returns whether there is a row to read.
  bool step();
  void reset() noexcept;

  std::int64_t integer(int column) const;
  std::string bytes(int column) const;  // TEXT or BLOB, as stored
  bool is_null(int column) const;
  int columns() const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const noexcept { sqlite3_finalize(handle); }
  };

  void check(int code) const;

  Connection* connection_;
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

// Rolls back unless committed. Takes the write lock at once, so that a busy file is noticed before
// anything is done.
class Transaction {
 public:
  explicit Transaction(Connection& connection);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  void commit();

 private:
  Connection* connection_;
};

// During its life, statements of `connection` are interrupted (SQLITE_INTERRUPT) once `limit` has
// passed.
class TimeLimit {
 public:
  TimeLimit(Connection& connection, std::chrono::milliseconds limit);
  ~TimeLimit();
  TimeLimit(const TimeLimit&) = delete;
  TimeLimit& operator=(const TimeLimit&) = delete;

 private:
  Connection* connection_;
  std::chrono::steady_clock::time_point end_;
};

}  // namespace remora
