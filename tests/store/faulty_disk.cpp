// SPDX-License-Identifier: Apache-2.0
#include "tests/store/faulty_disk.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <chrono>

namespace remora {
namespace {

// The methods of one kind of file.
struct Methods {
  const sqlite3_io_methods* sound = nullptr;
  sqlite3_io_methods faulty{};
};

// The state that the C callbacks see.
struct State {
  std::mutex mutex;
  std::condition_variable changed;
  int write_error = SQLITE_OK;
  int shared_memory_error = SQLITE_OK;
  int failures = 0;
  int writes = 0;
  sqlite3_vfs* disk = nullptr;  // SQLite's own
  sqlite3_vfs faulty_disk{};
  Methods database;
  Methods log;  // -wal and journals, for which the VFS needs no locks
};

State& state() {
  static State instance;
  return instance;
}

int outcome(int error, int& done) {
  int& counter = error == SQLITE_OK ? done : state().failures;
  ++counter;
  state().changed.notify_all();
  return error;
}

const sqlite3_io_methods& sound(const sqlite3_file* file) {
  return file->pMethods == &state().log.faulty ? *state().log.sound : *state().database.sound;
}

int write_file(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
  {
    const std::lock_guard lock(state().mutex);
    const int error = outcome(state().write_error, state().writes);
    if (error != SQLITE_OK) return error;
  }
  return sound(file).xWrite(file, bytes, size, offset);
}

int map_shared_memory(sqlite3_file* file, int region, int size, int extend, void volatile** at) {
  {
    const std::lock_guard lock(state().mutex);
    if (state().shared_memory_error != SQLITE_OK) return state().shared_memory_error;
  }
  return sound(file).xShmMap(file, region, size, extend, at);
}

int open_file(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  const int code = state().disk->xOpen(state().disk, name, file, flags, out_flags);
  if (code != SQLITE_OK) return code;
  const std::lock_guard lock(state().mutex);
  Methods& methods = (flags & SQLITE_OPEN_MAIN_DB) != 0 ? state().database : state().log;
  if (!methods.sound) {
    methods.sound = file->pMethods;
    methods.faulty = *file->pMethods;
    methods.faulty.xWrite = write_file;
    methods.faulty.xShmMap = map_shared_memory;
  }
  file->pMethods = &methods.faulty;
  return SQLITE_OK;
}

template <class Condition>
void await(const Condition& condition) {
  std::unique_lock lock(state().mutex);
  if (!state().changed.wait_for(lock, std::chrono::seconds(30), condition)) {
    ADD_FAILURE() << "the disk was not used as expected";
  }
}

}  // namespace

FaultyDisk::FaultyDisk() {
  state().disk = sqlite3_vfs_find("unix");
  state().faulty_disk = *state().disk;
  state().faulty_disk.zName = "faulty";
  state().faulty_disk.xOpen = open_file;
  sqlite3_vfs_register(&state().faulty_disk, 1);
}

FaultyDisk::~FaultyDisk() {
  heal();
  sqlite3_vfs_unregister(&state().faulty_disk);
  sqlite3_vfs_register(state().disk, 1);
}

void FaultyDisk::fail_writes(int sqlite_code) {
  const std::lock_guard lock(state().mutex);
  state().write_error = sqlite_code;
}

void FaultyDisk::fail_shared_memory() {
  const std::lock_guard lock(state().mutex);
  state().shared_memory_error = SQLITE_IOERR_SHMSIZE;
}

void FaultyDisk::heal() {
  const std::lock_guard lock(state().mutex);
  state().write_error = SQLITE_OK;
  state().shared_memory_error = SQLITE_OK;
}

void FaultyDisk::await_failures(int count) {
  const int before = [] {
    const std::lock_guard lock(state().mutex);
    return state().failures;
  }();
  await([&] { return state().failures >= before + count; });
}

int FaultyDisk::writes() const {
  const std::lock_guard lock(state().mutex);
  return state().writes;
}

void FaultyDisk::await_writes_after(int count) {
  await([&] { return state().writes > count; });
}

}  // namespace remora
