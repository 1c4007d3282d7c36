// SPDX-License-Identifier: Apache-2.0
//
// The memory of an array map (BPF_F_MMAPABLE), shared with the packet path.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <system_error>

namespace remora {

template <class T>
class Mapped {
 public:
  // The descriptor is needed only here. Throws std::system_error that names `what`.
  Mapped(int map_fd, std::size_t entries, const char* what) : memory_(nullptr, {}) {
    const std::size_t bytes = entries * sizeof(T);
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
    if (memory == MAP_FAILED) {
      throw std::system_error(errno, std::generic_category(),
                              std::string("cannot map the memory of ") + what);
    }
    memory_ = {static_cast<T*>(memory), Unmap{bytes}};
  }

  T* data() const { return memory_.get(); }

 private:
  struct Unmap {
    std::size_t bytes;
    void operator()(T* first) const { ::munmap(first, bytes); }
  };
  std::unique_ptr<T, Unmap> memory_;
};

}  // namespace remora
