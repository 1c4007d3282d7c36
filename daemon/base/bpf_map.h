// SPDX-License-Identifier: Apache-2.0
//
// A BPF map with the types of its key and value. Does not own the descriptor:
// the programs do.
#pragma once

#include <bpf/bpf.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace remora {

// What the kernel says of a map. Throws std::system_error.
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

  // False when the key is there already.
  bool insert(const Key& key, const Value& value) const {
    if (bpf_map_update_elem(fd_, &key, &value, BPF_NOEXIST) == 0) return true;
    if (errno == EEXIST) return false;
    throw failure("write");
  }

  // False when the key is not there.
  bool erase(const Key& key) const {
    if (bpf_map_delete_elem(fd_, &key) == 0) return true;
    if (errno == ENOENT) return false;
    throw failure("delete from");
  }

  // Writes all; what is there already is overwritten.
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

// Reads a hash in batches. Entries that come and go meanwhile may be missed or,
// rarely, read twice.
template <class Key, class Value>
class BatchReader {
 public:
  BatchReader(const BpfMap<Key, Value>& map, std::size_t batch)
      : map_(map), keys_(batch), values_(batch) {}

  // The next entries, at most a batch; both empty when the whole map was read,
  // and the next call begins anew.
  std::pair<std::span<const Key>, std::span<const Value>> next() {
    if (std::exchange(at_end_, false)) {
      started_ = false;
      return {};
    }
    auto count = static_cast<__u32>(keys_.size());
    const int result = bpf_map_lookup_batch(map_.fd(), started_ ? cursor_ : nullptr, cursor_,
                                            keys_.data(), values_.data(), &count, nullptr);
    const int error = result == 0 ? 0 : errno;
    started_ = true;
    if (error == ENOSPC && keys_.size() < kLargestBatch) {  // a bucket longer than the batch
      keys_.resize(keys_.size() * 2);
      values_.resize(values_.size() * 2);
      started_ = false;
      return next();
    }
    if (error != 0 && error != ENOENT) {
      throw std::system_error(error, std::generic_category(), "cannot read a map in batches");
    }
    at_end_ = error == ENOENT;
    if (count == 0) return next();
    return {std::span(keys_).first(count), std::span(values_).first(count)};
  }

 private:
  static constexpr std::size_t kLargestBatch = 1 << 20;

  const BpfMap<Key, Value> map_;
  std::vector<Key> keys_;
  std::vector<Value> values_;
  // The kernel's place: a bucket's number, or the last key (a copy of either).
  alignas(8) std::byte cursor_[sizeof(Key) < 8 ? 8 : sizeof(Key)]{};
  bool started_ = false;
  bool at_end_ = false;
};

}  // namespace remora
