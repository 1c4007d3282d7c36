// SPDX-License-Identifier: Apache-2.0
#include "daemon/mqtt/properties.h"

#include <algorithm>

#include "daemon/mqtt/cursor.h"

namespace remora::mqtt {
namespace {

// The type of a property's value (§2.2.2.2).
enum class Form { kByte, kTwoBytes, kFourBytes, kVariable, kString, kPair, kUnknown };

Form form_of(std::uint8_t id) {
  switch (id) {
    case 0x01:
    case 0x17:
    case 0x19:
    case 0x24:
    case 0x25:
    case 0x28:
    case 0x29:
    case 0x2a:
      return Form::kByte;
    case 0x13:
    case 0x21:
    case 0x22:
    case 0x23:
      return Form::kTwoBytes;
    case 0x02:
    case 0x11:
    case 0x18:
    case 0x27:
      return Form::kFourBytes;
    case 0x0b:
      return Form::kVariable;
    case 0x03:
    case 0x08:
    case 0x09:
    case 0x12:
    case 0x15:
    case 0x16:
    case 0x1a:
    case 0x1c:
    case 0x1f:
      return Form::kString;
    case 0x26:
      return Form::kPair;
    default:
      return Form::kUnknown;
  }
}

}  // namespace

std::optional<Property> PropertyReader::next() {
  if (rest_.empty() || malformed_) return std::nullopt;
  Cursor cursor(rest_);
  const std::uint8_t id = cursor.byte();
  std::uint32_t number = 0;
  switch (form_of(id)) {
    case Form::kByte:
      number = cursor.byte();
      break;
    case Form::kTwoBytes:
      number = cursor.two_bytes();
      break;
    case Form::kFourBytes:
      number = std::uint32_t{cursor.two_bytes()} << 16;
      number |= cursor.two_bytes();
      break;
    case Form::kVariable:
      number = cursor.variable_integer();
      break;
    case Form::kPair:
      cursor.string();
      cursor.string();
      break;
    case Form::kString:
      cursor.string();
      break;
    case Form::kUnknown:
      cursor.fail();
      break;
  }
  malformed_ = cursor.failed();
  if (malformed_) return std::nullopt;
  const Property property{static_cast<PropertyId>(id), number, rest_.first(cursor.at())};
  rest_ = rest_.subspan(cursor.at());
  return property;
}

void append_variable_integer(Bytes& out, std::uint32_t value) {
  do {
    auto digit = static_cast<std::uint8_t>(value & 0x7f);
    value >>= 7;
    if (value != 0) digit |= 0x80;
    out.push_back(digit);
  } while (value != 0);
}

void append_string(Bytes& out, ByteView text) {
  out.push_back(static_cast<std::uint8_t>(text.size() >> 8));
  out.push_back(static_cast<std::uint8_t>(text.size()));
  out.insert(out.end(), text.begin(), text.end());
}

}  // namespace remora::mqtt
