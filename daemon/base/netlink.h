// SPDX-License-Identifier: Apache-2.0
//
// Requests to the kernel over netlink, each answered at once.
#pragma once

#include <libmnl/libmnl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <system_error>
#include <vector>

#include "daemon/base/address.h"

namespace remora {

// Attributes by type. Missing ones, and those of higher types, are null.
using Attributes = std::array<const nlattr*, 64>;
using MessageVisitor = std::function<void(const nlmsghdr&)>;

// The attributes after the fixed part of a message, or inside another attribute.
Attributes attributes_of(const nlmsghdr& message, unsigned header_bytes);
Attributes attributes_of(const nlattr& nest);
// The attributes in a sequence of bytes.
Attributes attributes_in(const void* bytes, std::size_t size);

// The address in some bytes or in an attribute. Empty if no address has this length.
std::optional<Address> address_in(const void* bytes, std::size_t size);
std::optional<Address> address_in(const nlattr* attribute);

unsigned char family_of(const Address& address);

class NetlinkQuestion {
 public:
  // `flags` are those of linux/netlink.h in addition to NLM_F_REQUEST: NLM_F_DUMP for all objects
  // of a kind, NLM_F_ACK for one of them.
  NetlinkQuestion(std::uint16_t type, std::uint16_t flags);

  // The message's fixed part, zeroed. Call this before adding attributes.
  template <class Header>
  Header& header() {
    return *static_cast<Header*>(mnl_nlmsg_put_extra_header(message(), sizeof(Header)));
  }
  void add(std::uint16_t attribute, const Address& address);
  void add(std::uint16_t attribute, std::uint32_t number);
  void add(std::uint16_t attribute, std::span<const std::uint8_t> bytes);

  // Passes every message of the answer to `visit`. A dump is repeated if its objects changed
  // meanwhile (NLM_F_DUMP_INTR), and visited only when it is complete. Returns 0, or the errno
  // with which the kernel refuses. Throws std::system_error if it cannot be asked. `bus`: the
  // protocol of netlink(7).
  int ask(const MessageVisitor& visit, int bus = NETLINK_ROUTE);

 private:
  int read_answer(int bus, std::vector<std::vector<char>>& parts);
  nlmsghdr* message() { return reinterpret_cast<nlmsghdr*>(buffer_.data()); }

  alignas(nlmsghdr) std::array<char, 512> buffer_{};
};

// Visits all objects of a kind. `fill` completes the request's header. Throws
// std::system_error.
template <class Header, class Fill>
void dump(std::uint16_t type, Fill&& fill, const MessageVisitor& visit) {
  NetlinkQuestion question(type, NLM_F_DUMP);
  fill(question.header<Header>());
  if (const int error = question.ask(visit); error != 0) {
    throw std::system_error(error, std::generic_category(),
                            "the kernel refuses the question (rtnetlink)");
  }
}

}  // namespace remora
