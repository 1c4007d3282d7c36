// SPDX-License-Identifier: Apache-2.0
//
// A BPF map with the types of its key and value. It does not own the descriptor;
// the programs do.
#pragma once

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace remora {

// Facts that the kernel tells about a map. Throws std::system_error.
inline bpf_map_info map_info(int fd) {
  bpf_map_info info{};
  __u32 size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot read what a map is");
  }
  return info;
}

template <class Key, class Value>
class BpfMap {
 public:
  BpfMap(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}

  int fd() const { return fd_; }

  std::optional<Value> find(const Key& key) const {
    Value value;
    if (bpf_map_lookup_elem(fd_, &key, &value) == 0) return value;
    if (errno == ENOENT) return std::nullopt;
    throw failure("read");
  }

  void put(const Key& key, const Value& value) const {
    if (bpf_map_update_elem(fd_, &key, &value, BPF_ANY) != 0) throw failure("write");
  }

  // Returns false if the key exists already.
  bool insert(const Key& key, const Value& value) const {
    if (bpf_map_update_elem(fd_, &key, &value, BPF_NOEXIST) == 0) return true;
    if (errno == EEXIST) return false;
    throw failure("write");
  }

  // Returns false if the key does not exist.
  bool erase(const Key& key) const {
    if (bpf_map_delete_elem(fd_, &key) == 0) return true;
    if (errno == ENOENT) return false;
    throw failure("delete from");
  }

  // Writes all entries and overwrites existing ones.
  void put_all(std::span<const Key> keys, std::span<const Value> values) const {
    for (std::size_t done = 0; done < keys.size();) {
      auto count = static_cast<__u32>(keys.size() - done);
      if (bpf_map_update_batch(fd_, keys.data() + done, values.data() + done, &count, nullptr) !=
          0) {
        throw failure("write");
      }
      done += count;
    }
  }

 private:
  std::system_error failure(const char* what) const {
    return {errno, std::generic_category(), std::string("cannot ") + what + " the map " + name_};
  }

  int fd_;
  std::string name_;
};

// Reads a hash in batches. Entries that are added or removed in the meantime may be missed or,
// rarely, read twice.
class RawBatchReader {
 public:
  // `map` must outlive the reader. Reads `batch` entries at a time, and more if a bucket of the
  // hash is larger.
  RawBatchReader(int map, std::size_t key_size, std::size_t value_size, std::size_t batch)
      : fd_(map),
        key_size_(key_size),
        value_size_(value_size),
        entries_(batch),
        keys_(batch * key_size),
        values_(batch * value_size),
        cursor_(std::max<std::size_t>(key_size, 8)) {}

  struct Batch {
    const std::byte* keys;
    const std::byte* values;
    std::size_t count;
  };
  // Returns the next entries, at most a batch. The batch is empty when the whole map has been read;
  // the next call then starts again. Throws std::system_error.
  Batch next() {
    if (std::exchange(at_end_, false)) {
      started_ = false;
      return {};
    }
    auto count = static_cast<__u32>(entries_);
    const int result =
        bpf_map_lookup_batch(fd_, started_ ? cursor_.data() : nullptr, cursor_.data(), keys_.data(),
                             values_.data(), &count, nullptr);
    const int error = result == 0 ? 0 : errno;
    started_ = true;
    if (error == ENOSPC && entries_ < kLargestBatch) {  // a bucket longer than the batch
      entries_ *= 2;
      keys_.resize(entries_ * key_size_);
      values_.resize(entries_ * value_size_);
      started_ = false;
      return next();
    }
    if (error != 0 && error != ENOENT) {
      throw std::system_error(error, std::generic_category(), "cannot read a map in batches");
    }
    at_end_ = error == ENOENT;
    if (count == 0) return next();
    return {keys_.data(), values_.data(), count};
  }

 private:
  static constexpr std::size_t kLargestBatch = 1 << 20;

  int fd_;
  std::size_t key_size_;
  std::size_t value_size_;
  std::size_t entries_;
  std::vector<std::byte> keys_;
  std::vector<std::byte> values_;
  // The kernel's position: a copy of a bucket's number or of the last key.
  std::vector<std::byte> cursor_;
  bool started_ = false;
  bool at_end_ = false;
};

// A reader with types.
template <class Key, class Value>
class BatchReader {
 public:
  BatchReader(const BpfMap<Key, Value>& map, std::size_t batch)
      : raw_(map.fd(), sizeof(Key), sizeof(Value), batch) {}

  std::pair<std::span<const Key>, std::span<const Value>> next() {
    const auto [keys, values, count] = raw_.next();
    // Memory for bytes provides storage for any trivial type (C++20, [intro.object]).
    return {{reinterpret_cast<const Key*>(keys), count},
            {reinterpret_cast<const Value*>(values), count}};
  }

 private:
  RawBatchReader raw_;
};

}  // namespace remora
