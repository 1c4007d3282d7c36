// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/netlink.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "daemon/base/handles.h"

namespace remora {
namespace {

// Large enough for any message of a dump.
constexpr std::size_t kLargestAnswer = 65536;
constexpr unsigned kSequence = 1;
// Each repetition is spoiled only by a change within the fraction of a millisecond that it takes.
constexpr int kMostRepetitions = 100;

using Socket = std::unique_ptr<mnl_socket, Closer<mnl_socket_close>>;

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

Attributes sorted(const nlattr* attribute, const char* end) {
  Attributes attributes{};
  const auto left = [&] {
    return static_cast<int>(end - reinterpret_cast<const char*>(attribute));
  };
  for (; mnl_attr_ok(attribute, left()); attribute = mnl_attr_next(attribute)) {
    const std::uint16_t type = mnl_attr_get_type(attribute);
    if (type < attributes.size()) attributes[type] = attribute;
  }
  return attributes;
}

}  // namespace

Attributes attributes_of(const nlmsghdr& message, unsigned header_bytes) {
  return sorted(static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(&message, header_bytes)),
                static_cast<const char*>(mnl_nlmsg_get_payload_tail(&message)));
}

Attributes attributes_of(const nlattr& nest) {
  return attributes_in(mnl_attr_get_payload(&nest), mnl_attr_get_payload_len(&nest));
}

Attributes attributes_in(const void* bytes, std::size_t size) {
  return sorted(static_cast<const nlattr*>(bytes), static_cast<const char*>(bytes) + size);
}

std::optional<Address> address_in(const void* bytes, std::size_t size) {
  address words{};
  switch (size) {
    case sizeof(__be32):
      std::memcpy(&words.word[0], bytes, size);
      return Address::from_ipv4(words.word[0]);
    case sizeof(words):
      std::memcpy(&words, bytes, size);
      return Address(words);
    default:
      return std::nullopt;
  }
}

std::optional<Address> address_in(const nlattr* attribute) {
  if (!attribute) return std::nullopt;
  return address_in(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute));
}

unsigned char family_of(const Address& address) {
  return address.is_ipv4() ? AF_INET : AF_INET6;
}

NetlinkQuestion::NetlinkQuestion(std::uint16_t type, std::uint16_t flags) {
  nlmsghdr* request = mnl_nlmsg_put_header(buffer_.data());
  request->nlmsg_type = type;
  request->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  request->nlmsg_seq = kSequence;
}

void NetlinkQuestion::add(std::uint16_t attribute, const Address& address) {
  if (address.is_ipv4()) {
    mnl_attr_put_u32(message(), attribute, address.ipv4());
  } else {
    mnl_attr_put(message(), attribute, address.bytes().size(), address.bytes().data());
  }
}

void NetlinkQuestion::add(std::uint16_t attribute, std::uint32_t number) {
  mnl_attr_put_u32(message(), attribute, number);
}

void NetlinkQuestion::add(std::uint16_t attribute, std::span<const std::uint8_t> bytes) {
  mnl_attr_put(message(), attribute, bytes.size(), bytes.data());
}

// Reads a whole answer. Returns 0 or an errno: EINTR if what was being dumped has changed
// meanwhile.
int NetlinkQuestion::read_answer(int bus, std::vector<std::vector<char>>& parts) {
  const Socket socket(mnl_socket_open(bus));
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0 ||
      mnl_socket_sendto(socket.get(), message(), message()->nlmsg_len) < 0) {
    fail("cannot ask the kernel (netlink)");
  }
  const unsigned port = mnl_socket_get_portid(socket.get());
  const auto buffer = std::make_unique<char[]>(kLargestAnswer);
  int state = MNL_CB_OK;
  while (state > MNL_CB_STOP) {
    const ssize_t bytes = mnl_socket_recvfrom(socket.get(), buffer.get(), kLargestAnswer);
    if (bytes < 0) fail("cannot read the kernel's answer (netlink)");
    const auto size = static_cast<std::size_t>(bytes);
    state = mnl_cb_run(buffer.get(), size, kSequence, port, nullptr, nullptr);
    if (state < 0) return errno;
    parts.emplace_back(buffer.get(), buffer.get() + size);
  }
  return 0;
}

int NetlinkQuestion::ask(const MessageVisitor& visit, int bus) {
  std::vector<std::vector<char>> parts;
  int error = EINTR;
  for (int i = 0; i < kMostRepetitions && error == EINTR; ++i) {
    parts.clear();
    error = read_answer(bus, parts);
  }
  if (error != 0) return error;
  const auto trampoline = [](const nlmsghdr* answer, void* argument) {
    (*static_cast<const MessageVisitor*>(argument))(*answer);
    return MNL_CB_OK;
  };
  for (const std::vector<char>& part : parts)
    mnl_cb_run(part.data(), part.size(), kSequence, 0, trampoline,
               const_cast<MessageVisitor*>(&visit));
  return 0;
}

}  // namespace remora
