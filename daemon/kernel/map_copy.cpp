// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/map_copy.h"

#include <bpf/bpf.h>

#include <vector>

#include "daemon/base/bpf_map.h"

namespace remora {
namespace {

constexpr std::size_t kBatch = 4096;

// Calls `take(key, value)` for each entry that has a meaning in the present ABI. Returns the number
// of the others.
template <class Take>
std::uint64_t convert_all(int from, MapConverter& converter, const Take& take) {
  const bpf_map_info info = map_info(from);
  RawBatchReader reader(from, info.key_size, info.value_size, kBatch);
  std::uint64_t without_meaning = 0;
  for (auto batch = reader.next(); batch.count > 0; batch = reader.next()) {
    for (std::size_t i = 0; i < batch.count; ++i) {
      const auto entry = converter.convert({batch.keys + i * info.key_size, info.key_size},
                                           {batch.values + i * info.value_size, info.value_size});
      if (entry) {
        take(entry->key, entry->value);
      } else {
        ++without_meaning;
      }
    }
  }
  return without_meaning;
}

// Entries on their way into a map.
class BatchWriter {
 public:
  BatchWriter(int to, CopyCounts& counts) : to_(to), info_(map_info(to)), counts_(counts) {}

  void add(EntryView key, EntryView value) {
    keys_.insert(keys_.end(), key.begin(), key.end());
    values_.insert(values_.end(), value.begin(), value.end());
    if (++pending_ == kBatch) flush();
  }

  void flush() {
    for (std::size_t done = 0; done < pending_;) {
      auto count = static_cast<__u32>(pending_ - done);
      const bool failed =
          bpf_map_update_batch(to_, keys_.data() + done * info_.key_size,
                               values_.data() + done * info_.value_size, &count, nullptr) != 0;
      counts_.copied += count;
      done += count;
      if (!failed) continue;
      ++counts_.lost;  // this entry; later ones may still find room
      ++done;
    }
    pending_ = 0;
    keys_.clear();
    values_.clear();
  }

 private:
  const int to_;
  const bpf_map_info info_;
  CopyCounts& counts_;
  std::size_t pending_ = 0;
  EntryBytes keys_, values_;
};

}  // namespace

CopyCounts copy_entries(int from, int to, MapConverter& converter) {
  CopyCounts counts;
  BatchWriter writer(to, counts);
  counts.lost +=
      convert_all(from, converter, [&](EntryView key, EntryView value) { writer.add(key, value); });
  writer.flush();
  return counts;
}

CopyCounts add_missing(int from, int to, MapConverter& converter) {
  CopyCounts counts;
  counts.lost += convert_all(from, converter, [&](EntryView key, EntryView value) {
    if (bpf_map_update_elem(to, key.data(), value.data(), BPF_NOEXIST) == 0) {
      ++counts.copied;
    } else if (errno != EEXIST) {
      ++counts.lost;
    }
  });
  return counts;
}

}  // namespace remora
