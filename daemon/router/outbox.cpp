// SPDX-License-Identifier: Apache-2.0
#include "daemon/router/outbox.h"

#include <algorithm>

#include "daemon/mqtt/packet_reader.h"

namespace remora::router {

void Outbox::append(ByteView bytes) {
  if (bytes.empty()) return;
  // The peer is slow: these bytes will probably not be written before settle().
  if (is_behind_) {
    append_copy(bytes);
    return;
  }
  size_ += bytes.size();
  if (!ranges_.empty()) {
    Range& last = ranges_.back();
    if (last.borrowed != nullptr && last.borrowed + last.size == bytes.data()) {
      last.size += bytes.size();
      return;
    }
  }
  ranges_.push_back({bytes.data(), 0, bytes.size()});
}

void Outbox::append_copy(ByteView bytes) {
  if (bytes.empty()) return;
  const std::size_t offset = copies_.size();
  copies_.insert(copies_.end(), bytes.begin(), bytes.end());
  size_ += bytes.size();
  if (!ranges_.empty() && ranges_.back().borrowed == nullptr) {
    ranges_.back().size += bytes.size();
  } else {
    ranges_.push_back({nullptr, offset, bytes.size()});
  }
}

ByteView Outbox::view_of(const Range& range) const {
  if (range.borrowed != nullptr) return {range.borrowed, range.size};
  return ByteView(copies_).subspan(range.offset, range.size);
}

const std::vector<ByteView>& Outbox::ranges() {
  views_.clear();
  std::size_t skip = written_;
  for (const Range& range : ranges_) {
    const ByteView view = view_of(range);
    const std::size_t here = std::min(skip, view.size());
    skip -= here;
    if (here < view.size()) views_.push_back(view.subspan(here));
  }
  return views_;
}

Bytes Outbox::from(std::size_t offset) const {
  Bytes bytes;
  bytes.reserve(size_ - offset);
  for (const Range& range : ranges_) {
    const ByteView view = view_of(range);
    const std::size_t skip = std::min(offset, view.size());
    offset -= skip;
    bytes.insert(bytes.end(), view.begin() + static_cast<std::ptrdiff_t>(skip), view.end());
  }
  return bytes;
}

std::size_t Outbox::start_of_cut_packet(const Bytes& bytes) const {
  if (unit_ == Unit::kByte) return written_;
  std::size_t at = cut_;
  while (at < written_) {
    const std::size_t end = at + mqtt::packet_size(ByteView(bytes).subspan(at));
    if (end > written_) break;
    at = end;
  }
  return at;
}

void Outbox::settle(std::size_t open) {
  if (unwritten() == 0) {
    clear();
    cut_ = open;
    return;
  }
  is_behind_ = true;
  const bool is_settled = ranges_.size() == 1 && ranges_.front().borrowed == nullptr;
  if (is_settled && written_ <= size_ / 2) return;

  Bytes bytes = from(0);
  if (written_ < cut_) {
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(written_));
    cut_ -= written_;
    written_ = 0;
  } else {
    const std::size_t start = start_of_cut_packet(bytes);
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(start));
    cut_ = 0;
    written_ -= start;
  }
  copies_ = std::move(bytes);
  size_ = copies_.size();
  ranges_.assign(1, {nullptr, 0, size_});
}

ByteView Outbox::unsent() const {
  if (unwritten() == 0) return {};
  const ByteView bytes(copies_);
  if (cut_ >= bytes.size()) return {};
  if (written_ <= cut_) return bytes.subspan(cut_);
  return bytes.subspan(start_of_cut_packet(copies_));
}

void Outbox::clear() {
  ranges_.clear();
  copies_ = {};
  size_ = written_ = cut_ = 0;
  is_behind_ = false;
}

}  // namespace remora::router
