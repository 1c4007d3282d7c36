// SPDX-License-Identifier: Apache-2.0
#include "store/database.h"

#include <utility>

#include "store/printable.h"

namespace remora {
namespace {

// Time that a statement waits for another process that has the file locked.
constexpr int kBusyMs = 2000;
// Virtual machine steps between two checks of the time limit, well under a millisecond.
constexpr int kStepsPerLook = 10'000;

}  // namespace

DatabaseError::DatabaseError(const std::string& attempted, int extended_code,
                             const std::string& message)
    : std::runtime_error(attempted + ": " + printable(message) + " (SQLite " +
                         std::to_string(extended_code) + ")"),
      extended_code_(extended_code) {}

// A missing table means damage, too, because our statements are right.
bool DatabaseError::means_damage() const {
  switch (code()) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR:
    case SQLITE_SCHEMA:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_FORMAT:
      return true;
    default:
      return false;
  }
}

Connection::Connection(const std::filesystem::path& path, Access access) {
  const int mode = access == Access::read_only ? SQLITE_OPEN_READONLY
                                               : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  sqlite3* opened = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &opened,
                                   mode | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  handle_.reset(opened);  // a failed open leaves a handle to close, too
  if (code != SQLITE_OK) {
    throw DatabaseError("opening '" + path.string() + "'", code,
                        opened ? sqlite3_errmsg(opened) : sqlite3_errstr(code));
  }
  sqlite3_busy_timeout(handle(), kBusyMs);
}

void Connection::fail(const std::string& attempted) const {
  throw DatabaseError(attempted, sqlite3_extended_errcode(handle()), sqlite3_errmsg(handle()));
}

void Connection::execute(const std::string& sql) {
  if (sqlite3_exec(handle(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    fail("running '" + sql.substr(0, sql.find('\n')) + "'");
  }
}

std::int64_t Connection::integer(const std::string& sql) {
  Statement statement(*this, sql);
  statement.step();
  return statement.integer(0);
}

std::string Connection::text(const std::string& sql) {
  Statement statement(*this, sql);
  statement.step();
  return statement.bytes(0);
}

std::uint64_t Connection::changes() const {
  return static_cast<std::uint64_t>(sqlite3_changes64(handle()));
}

std::int64_t Connection::last_id() const {
  return sqlite3_last_insert_rowid(handle());
}

bool Connection::in_transaction() const {
  return sqlite3_get_autocommit(handle()) == 0;
}

bool Connection::is_read_only() const {
  return sqlite3_db_readonly(handle(), "main") == 1;
}

bool Connection::was_moved() const {
  int moved = 0;
  sqlite3_file_control(handle(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  return moved != 0;
}

std::int64_t Connection::data_version() {
  return integer("PRAGMA data_version");
}

void Connection::checkpoint_by_hand() {
  sqlite3_wal_hook(
      handle(),
      [](void* pages, sqlite3*, const char*, int now) {
        *static_cast<int*>(pages) = now;
        return SQLITE_OK;
      },
      log_pages_.get());
}

bool Connection::checkpoint() {
  Statement statement(*this, "PRAGMA wal_checkpoint(PASSIVE)");  // busy, pages, of these moved
  return statement.step() && statement.integer(1) == statement.integer(2);
}

void Connection::empty_log() {
  execute("PRAGMA wal_checkpoint(TRUNCATE)");
}

void Connection::empty_log_on_close() {
  sqlite3_db_config(handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr);
}

void Connection::keep_log_on_close() {
  sqlite3_db_config(handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

Statement::Statement(Connection& connection, std::string_view sql) : connection_(&connection) {
  sqlite3_stmt* prepared = nullptr;
  const int code = sqlite3_prepare_v3(connection.handle(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &prepared, nullptr);
  handle_.reset(prepared);
  if (code != SQLITE_OK) connection.fail("preparing '" + std::string(sql) + "'");
}

void Statement::check(int code) const {
  if (code != SQLITE_OK) connection_->fail("binding a value");
}

void Statement::bind(int index, std::int64_t value) {
  check(sqlite3_bind_int64(handle_.get(), index, value));
}

void Statement::bind(int index, std::string_view text) {
  // SQLite would take a null pointer for NULL.
  check(sqlite3_bind_text64(handle_.get(), index, text.data() ? text.data() : "", text.size(),
                            SQLITE_TRANSIENT, SQLITE_UTF8));
}

void Statement::bind(int index, Blob blob) {
  check(sqlite3_bind_blob64(handle_.get(), index, blob.bytes.data() ? blob.bytes.data() : "",
                            blob.bytes.size(), SQLITE_TRANSIENT));
}

void Statement::bind(int index, Null) {
  check(sqlite3_bind_null(handle_.get(), index));
}

bool Statement::step() {
  const int code = sqlite3_step(handle_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  connection_->fail("running '" + std::string(sqlite3_sql(handle_.get())) + "'");
}

// sqlite3_reset() returns the error of the last step again, which was thrown then.
void Statement::reset() noexcept {
  sqlite3_reset(handle_.get());
  sqlite3_clear_bindings(handle_.get());
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(handle_.get(), column);
}

std::string Statement::bytes(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(handle_.get(), column));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(handle_.get(), column));
  return bytes ? std::string(bytes, size) : std::string();
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(handle_.get(), column) == SQLITE_NULL;
}

int Statement::columns() const {
  return sqlite3_column_count(handle_.get());
}

Transaction::Transaction(Connection& connection) : connection_(&connection) {
  connection.execute("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  // After a full disk or an I/O error SQLite has rolled back by itself.
  if (connection_->in_transaction()) {
    sqlite3_exec(connection_->handle(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

void Transaction::commit() {
  connection_->execute("COMMIT");
}

TimeLimit::TimeLimit(Connection& connection, std::chrono::milliseconds limit)
    : connection_(&connection), end_(std::chrono::steady_clock::now() + limit) {
  sqlite3_progress_handler(
      connection.handle(), kStepsPerLook,
      [](void* end) -> int {
        return std::chrono::steady_clock::now() >=
               *static_cast<const std::chrono::steady_clock::time_point*>(end);
      },
      &end_);
}

TimeLimit::~TimeLimit() {
  sqlite3_progress_handler(connection_->handle(), 0, nullptr, nullptr);
}

}  // namespace remora
