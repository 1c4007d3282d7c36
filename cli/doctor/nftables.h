// SPDX-License-Identifier: Apache-2.0
//
// What the nftables rules of this host say of an interface. Rules of iptables are among
// them where it is iptables-nft, Debian's default. Changes nothing; needs root.
#pragma once

#include <set>
#include <string>

namespace remora::doctor {

// The interfaces by which a rule that drops packets is limited: it compares their name or
// number with where a packet came in. What else such a rule compares is not examined.
// Throws std::system_error, also where the kernel has no nftables.
std::set<std::string> interfaces_with_drop_rules();

}  // namespace remora::doctor
