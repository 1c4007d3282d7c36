// SPDX-License-Identifier: Apache-2.0
//
// remora-decap: on a broker host, attaches the decap program to an interface. The program
// knows the services, so that nothing else passes, and stays when the command ends.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>

#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "bpf/decap.h"
#include "bpf/parse.h"
#include "cli/decap_config.h"
#include "cli/decap_options.h"
#include "daemon/base/fd.h"
#include "daemon/command_line/exit_codes.h"
#include "decap.skel.h"

namespace {

constexpr std::string_view kProgram = "xdp_decap";

struct CloseSkeleton {
  void operator()(remora_decap* skeleton) const noexcept { remora_decap__destroy(skeleton); }
};

int fail(const std::string& what, int error) {
  std::cerr << "remora-decap: " << what << ": " << std::strerror(error < 0 ? -error : error)
            << '\n';
  return remora::kFailed;
}

// The program on the interface, if it is one of ours.
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

template <class Key, class Value>
void write_entry(bpf_map* map, const Key& key, const Value& value, const std::string& what) {
  if (bpf_map__update_elem(map, &key, sizeof(key), &value, sizeof(value), BPF_ANY) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot write " + what);
}

service_key key_of(const remora::Address& address, std::uint16_t port) {
  return {address.abi(), host_to_net16(port), 0};
}

decap_network abi_of(const remora::Prefix& network) {
  return {network.bits() + (network.is_ipv4() ? 96 : 0), network.first().abi()};
}

void fill(const remora_decap& skeleton, const remora::DecapConfig& config) {
  constexpr __u32 kPresent = 1;
  for (const remora::DecapVip& entry : config.vips) {
    write_entry(skeleton.maps.vips, key_of(entry.vip, entry.port), entry.service.abi(),
                "the VIP " + to_string(entry.vip));
  }
  for (const remora::ServiceAt& service : config.services) {
    write_entry(skeleton.maps.decap_services, key_of(service.address, service.port), kPresent,
                "the service " + to_string(service));
  }
  for (const remora::Prefix& network : config.from) {
    write_entry(skeleton.maps.decap_sources, abi_of(network), kPresent,
                "the network " + to_string(network));
  }
}

int attach(int interface_index, __u32 mode, const remora::DecapConfig& config) {
  const std::unique_ptr<remora_decap, CloseSkeleton> skeleton(remora_decap__open());
  if (!skeleton) return fail("cannot open the program", errno);
  skeleton->rodata->sources_are_fenced = config.from.empty() ? 0 : 1;
  if (const int error = remora_decap__load(skeleton.get()); error != 0)
    return fail("cannot load the program (run as root)", error);
  fill(*skeleton, config);
  const int program = bpf_program__fd(skeleton->progs.xdp_decap);
  // Replaces an earlier program of ours in one step: no packet passes without one.
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
  if (config.services.empty()) {
    std::cerr << file << ": no [[service]] is named; --service must name one (warning)\n";
  }
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
  remora::DecapConfig config =
      file.empty() ? remora::DecapConfig{} : remora::load_decap_config(file);
  for (const remora::ServiceAt& service : options.services)
    remora::add_service(config.services, service);
  const std::string interface = options.interface.empty() ? config.interface : options.interface;
  if (interface.empty()) {
    std::cerr << "remora-decap: no interface is named: add it to the command line or to the "
                 "configuration file\n";
    return remora::kWrongUsage;
  }
  const int index = static_cast<int>(if_nametoindex(interface.c_str()));
  if (index == 0) return fail("interface " + interface, errno);
  const bool generic = options.generic || config.xdp_mode == remora::XdpMode::kGeneric;
  const __u32 mode = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
  if (options.detach) return detach(index, mode);
  if (config.services.empty()) {
    std::cerr << "remora-decap: no service is named, and nothing else may pass: add a [[service]] "
                 "to the configuration file, or --service ADDRESS:PORT\n";
    return remora::kWrongUsage;
  }
  return attach(index, mode, config);
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
    return remora::kWrongUsage;
  } catch (const std::exception& error) {
    std::cerr << "remora-decap: " << error.what() << '\n';
    return remora::kFailed;
  }
}
