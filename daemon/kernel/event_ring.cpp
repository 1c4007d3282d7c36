// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/event_ring.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace remora {
namespace {

// A record begins with a word for its length and flags and a word for the kernel
// (BPF_RINGBUF_HDR_SZ), and takes a multiple of 8 bytes.
constexpr std::size_t kHead = 8;

std::size_t page_size() {
  return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// Atomic, because the kernel writes the value at the same time.
template <class T>
T load(const std::byte* place) {
  return __atomic_load_n(reinterpret_cast<const T*>(place), __ATOMIC_ACQUIRE);
}

[[noreturn]] void refuse(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

bpf_map_info info_of(int map_fd) {
  bpf_map_info info{};
  __u32 length = sizeof(info);
  if (bpf_obj_get_info_by_fd(map_fd, &info, &length) != 0) refuse("cannot ask for the ring's size");
  return info;
}

}  // namespace

void EventRing::Unmap::operator()(std::byte* memory) const {
  ::munmap(memory, bytes);
}

EventRing::Memory EventRing::map(int map_fd, std::size_t bytes, int protection,
                                 std::size_t offset) {
  void* memory = ::mmap(nullptr, bytes, protection, MAP_SHARED, map_fd, static_cast<off_t>(offset));
  if (memory == MAP_FAILED) refuse("cannot map the ring of events");
  return Memory(static_cast<std::byte*>(memory), Unmap{bytes});
}

EventRing::EventRing(int map_fd) : size_(info_of(map_fd).max_entries) {
  const std::size_t page = page_size();
  reader_ = map(map_fd, page, PROT_READ | PROT_WRITE, 0);
  // The kernel maps the records twice in a row, so a record can be read across the end.
  writer_ = map(map_fd, page + 2 * size_, PROT_READ, page);
  records_ = writer_.get() + page;
  read_to_ = released_to();
}

std::uint32_t ring_id(int map_fd) {
  return info_of(map_fd).id;
}

std::uint64_t EventRing::released_to() const {
  return load<unsigned long>(reader_.get());
}

void EventRing::release(std::uint64_t position) {
  if (position <= released_to()) return;
  __atomic_store_n(reinterpret_cast<unsigned long*>(reader_.get()),
                   static_cast<unsigned long>(position), __ATOMIC_RELEASE);
}

std::optional<std::span<const std::byte>> EventRing::next() {
  while (read_to_ < load<unsigned long>(writer_.get())) {
    const std::byte* record = records_ + (read_to_ & (size_ - 1));
    const auto head = load<std::uint32_t>(record);
    if ((head & BPF_RINGBUF_BUSY_BIT) != 0) break;
    const std::size_t bytes = head & ~BPF_RINGBUF_DISCARD_BIT;
    read_to_ += (kHead + bytes + 7) / 8 * 8;
    if ((head & BPF_RINGBUF_DISCARD_BIT) == 0) return std::span(record + kHead, bytes);
  }
  return std::nullopt;
}

}  // namespace remora
