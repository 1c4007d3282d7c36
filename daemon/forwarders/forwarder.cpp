// SPDX-License-Identifier: Apache-2.0
#include "daemon/forwarders/forwarder.h"

#include <stdexcept>

#include "daemon/forwarders/embedded.h"
#include "daemon/forwarders/katran_object.h"
#include "daemon/forwarders/katran_shared.h"

namespace remora {

std::string_view to_string(VipState state) {
  switch (state) {
    case VipState::kForwards:
      return "forwards";
    case VipState::kUnknown:
      return "unknown";
    case VipState::kNoReal:
      return "no real";
    case VipState::kEmptySlot:
      break;
  }
  return "slot empty";
}

void Forwarder::settle(const std::filesystem::path& folder) {
  KatranProgram::remove_pins(folder);
}

std::optional<std::uint8_t> Forwarder::outer_length(const std::string& /*group*/) const {
  return 0;
}

void Forwarder::forget(const Address& /*vip*/, std::uint32_t /*real*/) {}

void Forwarder::move_to(unsigned /*interface_index*/) {}

void Forwarder::step() {}

void Forwarder::look() {}

std::optional<VipState> Forwarder::state_of(const std::string& /*group*/) const {
  return std::nullopt;
}

std::unique_ptr<Forwarder> make_forwarder(const Config& config, const Programs& programs,
                                          unsigned interface_index) {
  switch (config.lb.forwarder) {
    case ForwarderKind::kEmbedded:
      return std::make_unique<EmbeddedForwarder>(programs.program(kForwardProgram),
                                                 programs.map_fd("stats"));
    case ForwarderKind::kKatranObject:
      return std::make_unique<KatranObject>(config.lb.katran_object, programs);
    case ForwarderKind::kKatranShared:
      return std::make_unique<KatranShared>(programs.program(kAskProgram), interface_index);
  }
  throw std::logic_error("no such kind of forwarder");
}

}  // namespace remora
