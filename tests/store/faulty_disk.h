// SPDX-License-Identifier: Apache-2.0
// A disk that fails on demand, below SQLite: the default VFS of the test
// program, with writes that return the error asked for.
//
// All files of the process share it; a FaultyDisk heals it when it ends.
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

  // From now on; `sqlite_code` is SQLITE_FULL, SQLITE_IOERR_WRITE, …
  void fail_writes(int sqlite_code);
  // As on a full disk: no -shm file can be made.
  void fail_shared_memory();
  void heal();

  int writes() const;
  // Wait for more than `count` of them in all, or for `count` more failures. Fail
  // the test after half a minute.
  void await_writes_after(int count);
  void await_failures(int count);
};

}  // namespace remora
