// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/driver_stats.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

#include "daemon/base/fd.h"
#include "daemon/base/link.h"
#include "log/log.h"

namespace remora {
namespace {

void ask_driver(const std::string& interface, void* question, const char* what) {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  interface.copy(request.ifr_name, sizeof(request.ifr_name) - 1);
  request.ifr_data = static_cast<char*>(question);
  if (ioctl(socket.get(), SIOCETHTOOL, &request) != 0)
    throw std::system_error(errno, std::generic_category(),
                            std::string("cannot ask for ") + what + " of " + interface);
}

// An ethtool structure followed by an array, in aligned memory.
template <class Head>
class Question {
 public:
  Question(const Head& head, std::size_t bytes) : memory_((sizeof(Head) + bytes) / 8 + 1) {
    std::memcpy(memory_.data(), &head, sizeof(head));
  }
  void* get() { return memory_.data(); }
  const char* array() const { return reinterpret_cast<const char*>(memory_.data()) + sizeof(Head); }

 private:
  std::vector<std::uint64_t> memory_;
};

std::uint32_t count_of(const std::string& interface) {
  ethtool_sset_info head{};
  head.cmd = ETHTOOL_GSSET_INFO;
  head.sset_mask = std::uint64_t{1} << ETH_SS_STATS;
  std::uint32_t count = 0;
  Question question(head, sizeof(count));
  try {
    ask_driver(interface, question.get(), "the driver's counters");
  } catch (const std::system_error& error) {
    if (error.code().value() != EOPNOTSUPP) throw;
    return 0;
  }
  std::memcpy(&head, question.get(), sizeof(head));
  if (head.sset_mask == 0) return 0;
  std::memcpy(&count, question.array(), sizeof(count));
  return count;
}

}  // namespace

std::string driver_of(const std::string& interface) {
  ethtool_drvinfo info{};
  info.cmd = ETHTOOL_GDRVINFO;
  ask_driver(interface, &info, "the driver");
  return {info.driver, strnlen(info.driver, sizeof(info.driver))};
}

bool is_xdp_tx_error(std::string_view counter) {
  constexpr std::array kEnds = {"err", "drop", "full"};
  const auto at = counter.find("xdp_tx");
  return at != std::string_view::npos && std::ranges::any_of(kEnds, [&](std::string_view end) {
           return counter.find(end, at) != std::string_view::npos;
         });
}

std::map<std::string, std::uint64_t> xdp_tx_errors(const std::string& interface) {
  const std::uint32_t count = count_of(interface);
  if (count == 0) return {};
  ethtool_gstrings of_names{};
  of_names.cmd = ETHTOOL_GSTRINGS;
  of_names.string_set = ETH_SS_STATS;
  of_names.len = count;
  Question names(of_names, std::size_t{count} * ETH_GSTRING_LEN);
  ask_driver(interface, names.get(), "the names of the driver's counters");
  ethtool_stats of_values{};
  of_values.cmd = ETHTOOL_GSTATS;
  of_values.n_stats = count;
  Question values(of_values, std::size_t{count} * sizeof(std::uint64_t));
  ask_driver(interface, values.get(), "the driver's counters");
  std::map<std::string, std::uint64_t> errors;
  for (std::size_t i = 0; i < count; ++i) {
    const char* text = names.array() + i * ETH_GSTRING_LEN;
    const std::string name(text, strnlen(text, ETH_GSTRING_LEN));
    if (!is_xdp_tx_error(name)) continue;
    std::memcpy(&errors[name], values.array() + i * sizeof(std::uint64_t), sizeof(std::uint64_t));
  }
  return errors;
}

XdpTxWatch::XdpTxWatch(unsigned interface_index) : index_(interface_index) {
  try {
    if (const auto name = find_name(index_)) driver_ = driver_of(*name);
  } catch (const std::system_error&) {
    // Messages then say "any driver".
  }
  errors_ = count().value_or(0);
}

void XdpTxWatch::look(std::uint64_t now_ns) {
  constexpr std::uint64_t kQuietNs = 60'000'000'000;
  const auto now = count();
  if (!now || *now == errors_) return;
  // A new interface with that name starts from 0.
  if (*now > errors_) {
    if (!grew_at_ns_ || now_ns - *grew_at_ns_ > kQuietNs)
      log::error(
          "the driver of {} ({}) throws away frames for brokers: {} so far; "
          "remoractl doctor says what to do",
          find_name(index_).value_or("the interface"), driver_, *now);
    grew_at_ns_ = now_ns;
  }
  errors_ = *now;
}

// Empty if the driver cannot be asked, for instance because the interface is gone.
std::optional<std::uint64_t> XdpTxWatch::count() const {
  try {
    const auto interface = find_name(index_);
    if (!interface) return std::nullopt;
    std::uint64_t sum = 0;
    for (const auto& [name, value] : xdp_tx_errors(*interface)) sum += value;
    return sum;
  } catch (const std::system_error&) {
    return std::nullopt;
  }
}

}  // namespace remora
