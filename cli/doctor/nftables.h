// SPDX-License-Identifier: Apache-2.0
//
// The nftables rules of this host that concern an interface. They include rules of iptables if it
// is iptables-nft, as by default in Debian. Changes nothing; needs root.
#pragma once

#include <set>
#include <string>

namespace remora::doctor {

// Interfaces for which a rule drops packets: the rule compares the name or number of the interface
// on which a packet came in. Other comparisons of the rule are not examined. Throws
// std::system_error, also if the kernel has no nftables.
std::set<std::string> interfaces_with_drop_rules();

}  // namespace remora::doctor
