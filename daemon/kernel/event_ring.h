// SPDX-License-Identifier: Apache-2.0
//
// Reads the ring `events` without releasing its records: they stay there until release().
//
// libbpf's reader releases a record as soon as its callback returns. Here a daemon that is killed
// leaves all records that it had read but not committed to the next one. The memory belongs to the
// kernel: positions outlive the process and only grow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace remora {

class EventRing {
 public:
  // Starts at the first record that was not released. `map_fd` is needed only here. Throws
  // std::system_error.
  explicit EventRing(int map_fd);

  // The next record, valid until it is released. No value: there is none, or the kernel is still
  // writing it.
  std::optional<std::span<const std::byte>> next();

  // Position after the last record that next() returned or skipped.
  std::uint64_t read_to() const { return read_to_; }
  std::uint64_t released_to() const;
  // Releases all records up to this position. The kernel reuses their memory.
  void release(std::uint64_t position);

  std::size_t size() const { return size_; }

 private:
  struct Unmap {
    std::size_t bytes;
    void operator()(std::byte* memory) const;
  };
  using Memory = std::unique_ptr<std::byte, Unmap>;
  static Memory map(int map_fd, std::size_t bytes, int protection, std::size_t offset);

  std::size_t size_ = 0;
  Memory reader_;  // the page with the position up to which records are released
  Memory writer_;  // the page with the kernel's position, and the records, twice in a row
  const std::byte* records_ = nullptr;
  std::uint64_t read_to_ = 0;
};

// The map's number in the kernel, which distinguishes rings of the same boot. Throws
// std::system_error.
std::uint32_t ring_id(int map_fd);

}  // namespace remora
