// SPDX-License-Identifier: Apache-2.0
//
// remora-decap: on a broker host, puts the decap program on an interface, with the VIPs
// that it turns back into services. It stays there when the command ends.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>

#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string_view>

#include "bpf/parse.h"
#include "cli/decap_config.h"
#include "cli/decap_options.h"
#include "daemon/base/fd.h"
#include "decap.skel.h"

namespace {

constexpr int kFailed = 1;
constexpr int kBadConfig = 2;
constexpr std::string_view kProgram = "xdp_decap";

struct CloseSkeleton {
  void operator()(remora_decap* skeleton) const noexcept { remora_decap__destroy(skeleton); }
};

int fail(const std::string& what, int error) {
  std::cerr << "remora-decap: " << what << ": " << std::strerror(error < 0 ? -error : error)
            << '\n';
  return kFailed;
}

// The program that is on the interface, if it is one of ours.
remora::Fd own_program_on(int interface_index, __u32 mode) {
  __u32 id = 0;
  if (bpf_xdp_query_id(interface_index, static_cast<int>(mode), &id) != 0 || id == 0) return {};
  remora::Fd program(bpf_prog_get_fd_by_id(id));
  bpf_prog_info info{};
  __u32 size = sizeof(info);
  if (!program || bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0 ||
      kProgram != info.name) {
    return {};
  }
  return program;
}

int attach(int interface_index, __u32 mode, const remora::DecapConfig& config) {
  const std::unique_ptr<remora_decap, CloseSkeleton> skeleton(remora_decap__open_and_load());
  if (!skeleton) return fail("cannot load the program (run as root)", errno);
  for (const remora::DecapVip& entry : config.vips) {
    const service_key key{entry.vip.abi(), host_to_net16(entry.port), 0};
    if (bpf_map__update_elem(skeleton->maps.vips, &key, sizeof(key), &entry.service.abi(),
                             sizeof(address), BPF_ANY) != 0) {
      return fail("cannot write the VIP " + to_string(entry.vip), errno);
    }
  }
  const int program = bpf_program__fd(skeleton->progs.xdp_decap);
  // An earlier one of ours gives way at once: no packet passes between the two.
  const remora::Fd earlier = own_program_on(interface_index, mode);
  LIBBPF_OPTS(bpf_xdp_attach_opts, options);
  if (earlier) options.old_prog_fd = earlier.get();
  const __u32 how = earlier ? XDP_FLAGS_REPLACE : XDP_FLAGS_UPDATE_IF_NOEXIST;
  const int error =
      bpf_xdp_attach(interface_index, program, mode | how, earlier ? &options : nullptr);
  if (error == -EBUSY || error == -EEXIST)
    return fail("there is another XDP program; bpftool net shows it", error);
  return error == 0 ? 0 : fail("cannot attach the program", error);
}

int detach(int interface_index, __u32 mode) {
  const remora::Fd own = own_program_on(interface_index, mode);
  if (!own) return fail("none of our programs is on the interface", ENOENT);
  LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = own.get());
  const int error = bpf_xdp_detach(interface_index, mode | XDP_FLAGS_REPLACE, &options);
  return error == 0 ? 0 : fail("cannot take the program off", error);
}

int check(const std::string& file) {
  const remora::DecapConfig config = remora::load_decap_config(file);
  if (!config.interface.empty() && if_nametoindex(config.interface.c_str()) == 0) {
    std::cerr << file << ": there is no interface \""
              << config.interface << "\" on this machine (warning)\n";
  }
  std::cout << file << ": ok\n";
  return 0;
}

int run(const remora::DecapOptions& options) {
  std::string file = options.config;
  if (file.empty() && std::filesystem::exists(remora::kDefaultDecapConfig))
    file = remora::kDefaultDecapConfig;
  const remora::DecapConfig config =
      file.empty() ? remora::DecapConfig{} : remora::load_decap_config(file);
  const std::string interface = options.interface.empty() ? config.interface : options.interface;
  if (interface.empty()) {
    std::cerr << "remora-decap: name the interface, here or in the configuration file\n";
    return kBadConfig;
  }
  const int index = static_cast<int>(if_nametoindex(interface.c_str()));
  if (index == 0) return fail("interface " + interface, errno);
  const bool generic = options.generic || config.xdp_mode == remora::XdpMode::kGeneric;
  const __u32 mode = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
  return options.detach ? detach(index, mode) : attach(index, mode, config);
}

}  // namespace

int main(int argc, char** argv) {
  const auto parsed = remora::parse_decap_options(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  const auto& options = std::get<remora::DecapOptions>(parsed);

  libbpf_set_print(nullptr);
  try {
    return options.check.empty() ? run(options) : check(options.check);
  } catch (const remora::ConfigError& error) {
    std::cerr << error.what() << '\n';
    return kBadConfig;
  } catch (const std::exception& error) {
    std::cerr << "remora-decap: " << error.what() << '\n';
    return kFailed;
  }
}
