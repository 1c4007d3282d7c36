// SPDX-License-Identifier: Apache-2.0
// A disk below SQLite that fails on demand: the test program's default VFS, whose writes return
// the requested error.
//
// All files of the process share it. The destructor of FaultyDisk repairs it.
#pragma once

#include <condition_variable>
#include <mutex>

namespace remora {

class FaultyDisk {
 public:
  FaultyDisk();
  ~FaultyDisk();
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;

  // From now on all writes return `sqlite_code`: SQLITE_FULL, SQLITE_IOERR_WRITE, …
  void fail_writes(int sqlite_code);
  // From now on no -shm file can be created, as on a full disk.
  void fail_shared_memory();
  void heal();

  int writes() const;
  // Wait for more than `count` writes in all, or for `count` more failed ones. Fail the test after
  // half a minute.
  void await_writes_after(int count);
  void await_failures(int count);
};

}  // namespace remora
