// SPDX-License-Identifier: Apache-2.0
//
// The list of all BPF objects of remorad: which are loaded, and which handle every packet.
#pragma once

#include <bpf/libbpf.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace remora {

// Program names that the daemon uses.
inline constexpr std::string_view kRootProgram = "root";
inline constexpr std::string_view kStageProgram = "mqtt";
inline constexpr std::string_view kForwardProgram = "forward";
inline constexpr std::string_view kProbeProgram = "probe";
inline constexpr std::string_view kAskProgram = "ask";
inline constexpr std::string_view kHealthProgram = "health";

struct ProgramSpec {
  std::string_view name;
  bpf_prog_type type;
  std::span<const std::byte> (*image)();  // the ELF file
  bool is_in_chain;                       // attached with every forwarder
};

std::span<const ProgramSpec> program_list();

// Constants of the stage, which must be set before it is loaded.
struct StageConstants {
  bool behind_katran;  // the forwarder finds a group by its VIP
  std::uint32_t hints;
  std::uint32_t early_segments;
  std::uint32_t clients;  // the limits
  std::uint32_t half_opens;
};
// Sets them. `stage` must be open but not loaded. Throws std::runtime_error.
void set_constants(bpf_object* stage, const StageConstants& constants);

}  // namespace remora
