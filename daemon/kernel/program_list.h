// SPDX-License-Identifier: Apache-2.0
//
// Every BPF object of remorad, once: what is loaded, and what of it is in each packet's way.
#pragma once

#include <bpf/libbpf.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace remora {

// Names that the daemon asks for.
inline constexpr std::string_view kRootProgram = "root";
inline constexpr std::string_view kStageProgram = "mqtt";
inline constexpr std::string_view kForwardProgram = "forward";
inline constexpr std::string_view kProbeProgram = "probe";
inline constexpr std::string_view kLessonsProgram = "lessons";
inline constexpr std::string_view kAskProgram = "ask";
inline constexpr std::string_view kReleaseProgram = "release";
inline constexpr std::string_view kHealthProgram = "health";

struct ProgramSpec {
  std::string_view name;
  bpf_prog_type type;
  std::span<const std::byte> (*image)();  // the ELF file
  bool is_in_chain;                       // with every forwarder
};

std::span<const ProgramSpec> program_list();

// Constants that the stage is compiled with, to be set before it is loaded.
struct StageConstants {
  bool behind_katran;  // the forwarder finds a group by its VIP
  std::uint32_t hints;
  std::uint32_t early_segments;
  std::uint32_t half_opens;  // the limit
};
// `stage` is open, not loaded. Throws std::runtime_error.
void set_constants(bpf_object* stage, const StageConstants& constants);

}  // namespace remora
