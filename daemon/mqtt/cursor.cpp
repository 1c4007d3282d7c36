// SPDX-License-Identifier: Apache-2.0
#include "daemon/mqtt/cursor.h"

#include <algorithm>
#include <cstring>

#include "bpf/mqtt.h"

namespace remora::mqtt {

std::uint32_t Cursor::variable_integer() {
  std::uint32_t bytes = 0;
  std::uint32_t value = 0;
  const std::size_t count = std::min(left(), sizeof(bytes));
  std::memcpy(&bytes, bytes_.data() + at_, count);
  const int size = ::variable_integer(bytes, static_cast<std::uint32_t>(count), &value);
  if (size <= 0) {
    fail();
    return 0;
  }
  at_ += static_cast<std::size_t>(size);
  return value;
}

}  // namespace remora::mqtt
