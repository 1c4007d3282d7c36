// SPDX-License-Identifier: Apache-2.0
//
// remora-decap: on a broker host whose kernel has no ipip device, puts the decap
// program on an interface. It stays there when the command ends.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <iostream>
#include <memory>

#include "decap.skel.h"

namespace {

struct CloseSkeleton {
  void operator()(remora_decap* skeleton) const noexcept { remora_decap__destroy(skeleton); }
};

int fail(const std::string& what, int error) {
  std::cerr << "remora-decap: " << what << ": " << std::strerror(error < 0 ? -error : error)
            << '\n';
  return 1;
}

int attach(int interface_index, __u32 mode) {
  const std::unique_ptr<remora_decap, CloseSkeleton> skeleton(remora_decap__open_and_load());
  if (!skeleton) return fail("cannot load the program (run as root)", errno);
  const int program = bpf_program__fd(skeleton->progs.xdp_decap);
  const int error =
      bpf_xdp_attach(interface_index, program, mode | XDP_FLAGS_UPDATE_IF_NOEXIST, nullptr);
  if (error == -EBUSY || error == -EEXIST) {
    return fail("there is an XDP program already; --detach removes it", error);
  }
  return error == 0 ? 0 : fail("cannot attach the program", error);
}

}  // namespace

int main(int argc, char** argv) {
  std::string interface;
  bool detach = false, generic = false;
  CLI::App app("Strips the outer header of IPIP packets on a broker host");
  app.add_option("interface", interface, "where the load balancer's packets arrive")->required();
  app.add_flag("--detach", detach, "take the program off again");
  app.add_flag("--generic", generic, "for drivers without native XDP");
  CLI11_PARSE(app, argc, argv);

  libbpf_set_print(nullptr);
  const int index = static_cast<int>(if_nametoindex(interface.c_str()));
  if (index == 0) return fail("interface " + interface, errno);
  const __u32 mode = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
  if (!detach) return attach(index, mode);
  const int error = bpf_xdp_detach(index, mode, nullptr);
  return error == 0 ? 0 : fail("cannot take the program off", error);
}
