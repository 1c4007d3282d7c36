// SPDX-License-Identifier: Apache-2.0
#include "tests/reference/text.h"

#include <sstream>

namespace remora::reference {
namespace {

// Replaces [text](target) by the text.
std::string without_links(std::string_view markdown) {
  std::string text(markdown);
  for (std::size_t middle = text.find("]("); middle != std::string::npos;
       middle = text.find("](")) {
    const std::size_t begin = text.rfind('[', middle), end = text.find(')', middle);
    text =
        text.substr(0, begin) + text.substr(begin + 1, middle - begin - 1) + text.substr(end + 1);
  }
  return text;
}

}  // namespace

std::string plain(std::string_view markdown) {
  std::string text = without_links(markdown);
  std::erase(text, '`');
  return text;
}

std::string for_man(std::string_view markdown) {
  std::string text;
  for (const char character : without_links(markdown)) {
    if (character == '`') {
      text += '*';
      continue;
    }
    if (character == '_' || character == '*' || character == '\\') text += '\\';
    text += character;
  }
  return text;
}

std::string wrapped(std::string_view text, std::string_view head, std::size_t columns) {
  std::istringstream words{std::string(text)};
  std::string result, line(head);
  for (std::string word; words >> word;) {
    if (line.size() > head.size() && line.size() + 1 + word.size() > columns) {
      result += line + '\n';
      line = head;
    }
    if (line.size() > head.size()) line += ' ';
    line += word;
  }
  return result + line + '\n';
}

}  // namespace remora::reference
