// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/nftables.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>

#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "bpf/parse.h"
#include "daemon/base/netlink.h"

namespace remora::doctor {
namespace {

std::string_view bytes_of(const nlattr& attribute) {
  return {static_cast<const char*>(mnl_attr_get_payload(&attribute)),
          mnl_attr_get_payload_len(&attribute)};
}

std::uint32_t number_in(const nlattr& attribute) {
  return net_to_host32(mnl_attr_get_u32(&attribute));
}

bool is_verdict_drop(const Attributes& immediate) {
  const nlattr* data = immediate[NFTA_IMMEDIATE_DATA];
  const nlattr* verdict = data ? attributes_of(*data)[NFTA_DATA_VERDICT] : nullptr;
  const nlattr* code = verdict ? attributes_of(*verdict)[NFTA_VERDICT_CODE] : nullptr;
  return code && number_in(*code) == NF_DROP;
}

std::string name_of(std::uint32_t interface_index) {
  std::array<char, IF_NAMESIZE> name{};
  return if_indextoname(interface_index, name.data()) ? name.data() : "";
}

// The value of a comparison for equality; empty for other comparisons.
std::optional<std::string_view> equal_to(const Attributes& comparison) {
  const nlattr* operation = comparison[NFTA_CMP_OP];
  const nlattr* data = comparison[NFTA_CMP_DATA];
  if (!operation || !data || number_in(*operation) != NFT_CMP_EQ) return std::nullopt;
  const nlattr* value = attributes_of(*data)[NFTA_DATA_VALUE];
  return value ? std::optional(bytes_of(*value)) : std::nullopt;
}

// Reads one rule, expression by expression.
class Rule {
 public:
  void read(std::string_view expression, const Attributes& data) {
    const auto loaded = std::exchange(loaded_, std::nullopt);
    if (expression == "meta" && data[NFTA_META_KEY] && data[NFTA_META_DREG]) {
      loaded_ = number_in(*data[NFTA_META_KEY]);
    } else if (expression == "cmp" && loaded) {
      compare(*loaded, data);
    } else if (expression == "reject" || (expression == "immediate" && is_verdict_drop(data))) {
      drops_ = true;
    }
  }

  // The interface whose packets the rule drops; empty: none.
  std::string guarded() const { return drops_ ? interface_ : ""; }

 private:
  void compare(std::uint32_t key, const Attributes& comparison) {
    const auto value = equal_to(comparison);
    if (!value) return;
    if (key == NFT_META_IIFNAME) {
      interface_ = value->substr(0, value->find('\0'));
    } else if (key == NFT_META_IIF && value->size() == sizeof(std::uint32_t)) {
      std::uint32_t index = 0;
      std::memcpy(&index, value->data(), sizeof(index));
      interface_ = name_of(index);
    }
  }

  std::optional<std::uint32_t> loaded_;  // loaded by the expression before
  std::string interface_;
  bool drops_ = false;
};

std::string guarded_by(const nlmsghdr& message) {
  const nlattr* expressions = attributes_of(message, sizeof(nfgenmsg))[NFTA_RULE_EXPRESSIONS];
  if (!expressions) return "";
  Rule rule;
  const std::string_view list = bytes_of(*expressions);
  const auto* element = reinterpret_cast<const nlattr*>(list.data());
  const auto left = [&] {
    return static_cast<int>(list.data() + list.size() - reinterpret_cast<const char*>(element));
  };
  for (; mnl_attr_ok(element, left()); element = mnl_attr_next(element)) {
    const Attributes expression = attributes_of(*element);
    const nlattr* name = expression[NFTA_EXPR_NAME];
    const nlattr* data = expression[NFTA_EXPR_DATA];
    if (!name) continue;
    const std::string_view word = bytes_of(*name);
    rule.read(word.substr(0, word.find('\0')), data ? attributes_of(*data) : Attributes{});
  }
  return rule.guarded();
}

}  // namespace

std::set<std::string> interfaces_with_drop_rules() {
  NetlinkQuestion question(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE, NLM_F_DUMP);
  auto& header = question.header<nfgenmsg>();
  header.nfgen_family = AF_UNSPEC;
  header.version = NFNETLINK_V0;
  std::set<std::string> found;
  const auto visit = [&](const nlmsghdr& message) {
    const std::string interface = guarded_by(message);
    if (!interface.empty()) found.insert(interface);
  };
  if (const int error = question.ask(visit, NETLINK_NETFILTER); error != 0) {
    throw std::system_error(error, std::generic_category(), "the nftables rules cannot be read");
  }
  return found;
}

}  // namespace remora::doctor
