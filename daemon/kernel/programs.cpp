// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/programs.h"

#include <bpf/bpf.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <iterator>
#include <set>
#include <stdexcept>

#include "daemon/base/attachment.h"
#include "daemon/base/bpf_errors.h"
#include "daemon/base/bpf_map.h"
#include "daemon/base/link.h"
#include "daemon/config/map_list.h"
#include "daemon/config/memory_plan.h"
#include "daemon/kernel/filters.h"
#include "daemon/kernel/health_routes.h"
#include "daemon/kernel/pins.h"
#include "daemon/kernel/program_list.h"
#include "daemon/kernel/router_routes.h"
#include "log/log.h"

namespace remora {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what);
}

// Messages of libbpf and of the verifier go to the debug log.
int log_libbpf(libbpf_print_level, const char* format, va_list arguments) {
  if (!log::is_written(log::Level::debug)) return 0;
  va_list again;
  va_copy(again, arguments);
  const int length = std::vsnprintf(nullptr, 0, format, arguments);
  std::string text(static_cast<std::size_t>(std::max(length, 0)), '\0');
  std::vsnprintf(text.data(), text.size() + 1, format, again);
  va_end(again);
  while (text.ends_with('\n')) text.pop_back();
  log::debug("{}", text);
  return length;
}

// Whether the kernel lets an XDP program of this attach type call into the prog array.
bool may_call_into(int array, bpf_attach_type type) {
  // The context stays in r1.
  const bpf_insn program[] = {
      // NOLINTNEXTLINE(misc-redundant-expression)
      {BPF_LD | BPF_DW | BPF_IMM, BPF_REG_2, BPF_PSEUDO_MAP_FD, 0, array},
      {0, 0, 0, 0, 0},
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, SLOT_FORWARDER},
      {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_tail_call},
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, XDP_PASS},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  };
  LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = type);
  const int loaded = bpf_prog_load(BPF_PROG_TYPE_XDP, "remora_calls", "GPL", program,
                                   std::size(program), &options);
  // The error does not depend on the array.
  if (loaded == -EPERM)
    fail("cannot load a BPF program: " + because(EPERM) + remedy_for_load(EPERM));
  return static_cast<bool>(Fd(loaded));
}

std::string holder_of(unsigned interface_index) {
  LIBBPF_OPTS(bpf_xdp_query_opts, query);
  if (bpf_xdp_query(static_cast<int>(interface_index), 0, &query) != 0 || query.prog_id == 0) {
    return "another XDP program";
  }
  std::string name = "program";
  if (const Fd program(bpf_prog_get_fd_by_id(query.prog_id)); program) {
    bpf_prog_info info{};
    __u32 size = sizeof(info);
    if (bpf_obj_get_info_by_fd(program.get(), &info, &size) == 0 && info.name[0]) name = info.name;
  }
  return "XDP program \"" + name + "\" (id " + std::to_string(query.prog_id) + ")";
}

std::uint32_t xdp_program_on(unsigned interface_index) {
  LIBBPF_OPTS(bpf_xdp_query_opts, query);
  return bpf_xdp_query(static_cast<int>(interface_index), 0, &query) == 0 ? query.prog_id : 0;
}

// The index of the interface in this network namespace that has its XDP program by this link; 0:
// none. An interface of another namespace may have the same index, but has another program.
unsigned interface_of(const Fd& link) {
  bpf_link_info info{};
  __u32 size = sizeof(info);
  if (!link || bpf_obj_get_info_by_fd(link.get(), &info, &size) != 0) return 0;
  // The link of a deleted interface has index 0.
  return info.xdp.ifindex != 0 && xdp_program_on(info.xdp.ifindex) == info.prog_id
             ? info.xdp.ifindex
             : 0;
}

// Whether the link holds a program on any interface, including other network namespaces.
bool is_attached_anywhere(const Fd& link) {
  bpf_link_info info{};
  __u32 size = sizeof(info);
  return link && bpf_obj_get_info_by_fd(link.get(), &info, &size) == 0 && info.xdp.ifindex != 0;
}

// Removes from an interface everything that outlives the link. Returns whether there was a filter.
bool leave(unsigned interface_index) {
  set_check_routes(interface_index, {});
  set_router_routes(interface_index, {});
  return detach_filters(interface_index);
}

void set_sizes(bpf_object* object, const Limits& limits) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    const MapSpec* spec = find_map_spec(bpf_map__name(map));
    if (spec && spec->entries) {
      bpf_map__set_max_entries(map, static_cast<__u32>(spec->entries(limits)));
    }
  }
}

// The pin of the root array if a Katran server shares it; otherwise empty.
fs::path shared_root_array_of(const Config& config) {
  return traits_of(config.lb.forwarder).shares_root_array ? config.lb.katran_root_array
                                                          : fs::path();
}

}  // namespace

fs::path pin_folder(const fs::path& bpffs, const std::string& instance) {
  struct statfs status {};
  if (statfs(bpffs.c_str(), &status) != 0 || status.f_type != BPF_FS_MAGIC) {
    fail(bpffs.string() + " is no BPF file system; mount it: mount -t bpf bpf " + bpffs.string());
  }
  fs::path folder = bpffs / "remora" / instance;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail("cannot make " + folder.string() + ": " + error.message() + "; run as root");
  return folder;
}

Programs::Programs(const Config& config, fs::path folder, unsigned interface_index)
    : interface_index_(interface_index),
      xdp_mode_(config.lb.xdp_mode),
      shared_root_array_(shared_root_array_of(config)),
      pins_(std::move(folder), shared_root_array_) {
  libbpf_set_print(log_libbpf);
  try {
    open(config);
    if (!shared_root_array_.empty()) share_root_array();
    std::vector<bpf_object*> objects;
    for (const Program& program : programs_) objects.push_back(program.object.get());
    pins_.claim(objects, config);
    load();
    pins_.carry_over([this](const std::string& name) { return map_fd(name); });
  } catch (...) {
    pins_.restore();
    throw;
  }
}

// The pins stay unless the programs were never attached.
Programs::~Programs() {
  if (!attached_) pins_.restore();
}

void Programs::open(const Config& config) {
  for (const ProgramSpec& spec : program_list()) {
    const std::string name(spec.name);
    const std::span<const std::byte> image = spec.image();
    LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = name.c_str());
    BpfObjectHandle object(bpf_object__open_mem(image.data(), image.size(), &options));
    if (!object) fail("cannot open the BPF object " + name + ": " + because(errno));
    bpf_program* each = nullptr;
    bpf_object__for_each_program(each, object.get()) bpf_program__set_type(each, spec.type);
    set_sizes(object.get(), config.limits);
    programs_.push_back({spec, std::move(object)});
  }
  const FlowTableSizes flow_table(config.limits.flows);
  set_constants(find(kStageProgram).object.get(),
                {.behind_katran = traits_of(config.lb.forwarder).finds_groups_by_vip,
                 .hints = static_cast<std::uint32_t>(flow_table.hint_rows * HINTS_PER_ROW),
                 .early_segments = config.limits.early_segments,
                 .clients = config.limits.clients,
                 .half_opens = config.limits.half_open});
}

const Programs::Program& Programs::find(std::string_view name) const {
  const auto found =
      std::ranges::find(programs_, name, [](const Program& each) { return each.spec.name; });
  if (found == programs_.end()) throw std::logic_error("no such program: " + std::string(name));
  return *found;
}

// A prog array accepts only programs with the expected attach type of its first one. So programs
// that call into it are loaded with that type, too.
void Programs::share_root_array() {
  const std::string where = "katran_root_array " + shared_root_array_.string() + ": ";
  Fd array(bpf_obj_get(shared_root_array_.c_str()));
  if (!array && errno != ENOENT) fail(where + because(errno));
  if (!array) return;  // loading makes it

  const bpf_map_info info = map_info(array.get());
  if (info.type != BPF_MAP_TYPE_PROG_ARRAY || info.key_size != sizeof(__u32) ||
      info.value_size != sizeof(__u32) || info.max_entries <= SLOT_FORWARDER) {
    fail(where + "is no prog array with slot " + std::to_string(SLOT_FORWARDER));
  }
  std::optional<bpf_attach_type> type;
  for (const bpf_attach_type candidate : {BPF_XDP, bpf_attach_type{}}) {
    if (!type && may_call_into(array.get(), candidate)) type = candidate;
  }
  if (!type) fail(where + "holds programs of another kind than XDP's without fragments");
  for (const Program& program : programs_) {
    bpf_map* root = bpf_object__find_map_by_name(program.object.get(), kRootArray);
    if (!root) continue;
    bpf_map__set_max_entries(root, info.max_entries);
    bpf_program__set_expected_attach_type(program.entry(), *type);
  }
  // libbpf gives a map that is taken over the name that its maker gave it.
  pins_.add_own(kRootArray, std::move(array));
}

void Programs::load() {
  for (const Program& program : programs_) {
    if (const int error = bpf_object__load(program.object.get()); error != 0) {
      fail("cannot load the BPF program " + std::string(program.spec.name) + ": " + because(error) +
           remedy_for_load(error));
    }
  }
}

int Programs::map_fd(std::string_view name) const {
  const std::string text(name);
  if (const int own = pins_.own_fd(text); own >= 0) return own;
  for (const Program& program : programs_) {
    if (bpf_map* map = bpf_object__find_map_by_name(program.object.get(), text.c_str())) {
      return bpf_map__fd(map);
    }
  }
  throw std::logic_error("no such map: " + text);
}

FlowTable::Maps Programs::flow_table() const {
  return {.flows = map_fd("flows"),
          .places = map_fd("places"),
          .free_places = map_fd("free_places"),
          .places_taken = map_fd("places_taken")};
}

NamedProgram Programs::program(std::string_view name) const {
  return find(name).named();
}

std::vector<NamedProgram> Programs::chain() const {
  std::vector<NamedProgram> all;
  for (const Program& program : programs_) {
    if (program.spec.is_in_chain) all.push_back(program.named());
  }
  return all;
}

std::optional<ProgramInfo> info_of(const NamedProgram& program) {
  bpf_prog_info info{};
  __u32 size = sizeof(info);
  if (bpf_obj_get_info_by_fd(program.fd, &info, &size) != 0) return std::nullopt;
  return ProgramInfo{info.id, info.verified_insns};
}

void Programs::attach(const std::optional<NamedProgram>& forwarder) {
  // From the end of a packet's way to its beginning, so the root comes last.
  pins_.begin_switch([this](const std::string& name) { return map_fd(name); }, flow_table());
  if (forwarder) fill_slot(SLOT_FORWARDER, *forwarder);
  fill_slot(SLOT_MQTT, program(kStageProgram));
  keep_gro_off();
  attach_filters();
  attach_root();
  // A pin that a forwarder of another kind has left.
  if (!shared_root_array_.empty()) ::unlink((pins_.folder() / kRootArray).c_str());
  attached_ = true;
  pins_.settle([this](const std::string& name) { return map_fd(name); }, flow_table());
}

void Programs::fill_slot(std::uint32_t slot, const NamedProgram& program) {
  if (bpf_map_update_elem(map_fd(kRootArray), &slot, &program.fd, BPF_ANY) != 0)
    fail("cannot put the program " + program.name + " into slot " + std::to_string(slot) +
         " of the root array: " + because(errno));
}

// Generic XDP runs after GRO, whose merged segments are too long for an outer header.
void Programs::keep_gro_off() const {
  const auto interface = find_name(interface_index_);
  if (xdp_mode_ == XdpMode::kGeneric && interface && turn_off_gro(*interface))
    log::info("GRO of {} is turned off, as generic XDP needs it", *interface);
}

int Programs::fd_of(const Filter& filter) const {
  return bpf_program__fd(
      bpf_object__find_program_by_name(find(filter.program).object.get(), filter.function));
}

// An `ingress` qdisc in the place of clsact mixes the filters of both directions.
void Programs::require_filters() const {
  for (const Filter& filter : filters()) {
    if (!has_filter(interface_index_, filter, fd_of(filter)))
      fail("another qdisc is in the place of clsact; remove it: tc qdisc del dev " +
           find_name(interface_index_).value_or("IFACE") + " ingress");
  }
}

void Programs::attach_filters() {
  try {
    for (const Filter& filter : filters()) attach_filter(interface_index_, filter, fd_of(filter));
    require_filters();
  } catch (...) {
    if (!Fd(bpf_obj_get((pins_.folder() / kLinkPin).c_str()))) detach_filters(interface_index_);
    throw;
  }
}

bool Programs::is_on_interface() const {
  const auto root = info_of(program(kRootProgram));
  return root && xdp_program_on(interface_index_) == root->id;
}

bool Programs::lacks_forwarder() const {
  constexpr __u32 kSlot = SLOT_FORWARDER;
  __u32 id = 0;
  return shared_root_array_.empty() && bpf_map_lookup_elem(map_fd(kRootArray), &kSlot, &id) != 0;
}

bool Programs::is_in_slot(std::uint32_t slot, const NamedProgram& program) const {
  const auto wanted = info_of(program);
  __u32 id = 0;
  return wanted && bpf_map_lookup_elem(map_fd(kRootArray), &slot, &id) == 0 && id == wanted->id;
}

// If a part cannot be put back, the others are put back all the same.
std::string Programs::put_back() {
  std::string missing;
  const auto note = [&](const std::string& what) {
    missing += (missing.empty() ? "" : ", ") + what;
  };
  std::exception_ptr first_failure;
  const auto attempt = [&](const auto& step) {
    try {
      step();
    } catch (...) {
      if (!first_failure) first_failure = std::current_exception();
    }
  };
  std::error_code error;
  fs::create_directories(pins_.folder(), error);  // attach_root() pins the link there
  for (const Filter& filter : filters()) {
    if (has_filter(interface_index_, filter, fd_of(filter))) continue;
    note(std::string("the TC program ") + filter.function);
    attempt([&] { attach_filter(interface_index_, filter, fd_of(filter)); });
  }
  if (!missing.empty()) attempt([&] { require_filters(); });
  if (!is_in_slot(SLOT_MQTT, program(kStageProgram))) {
    note("the mqtt stage in its slot");
    attempt([&] { fill_slot(SLOT_MQTT, program(kStageProgram)); });
  }
  attempt([&] { keep_gro_off(); });
  if (!is_on_interface()) {
    note("the XDP program");
    link_ = Fd();
    attempt([&] { attach_root(); });
  }
  attempt([&] {
    if (const std::size_t pins = put_pins_back(); pins > 0)
      note(std::to_string(pins) + " pins in " + pins_.folder().string());
  });
  if (first_failure) std::rethrow_exception(first_failure);
  return missing;
}

// Returns the number of pins that were missing.
std::size_t Programs::put_pins_back() {
  std::size_t missing = 0;
  const auto pin = [&](const fs::path& path, int fd) {
    if (is_pinned(path, fd)) return;
    ++missing;
    pin_again(path, fd);
  };
  if (link_) pin(pins_.folder() / kLinkPin, link_.get());
  for (const auto& [name, fd] : pins_.own())
    pin(name == kRootArray ? shared_root_array_ : pins_.folder() / name, fd.get());
  for (const Program& program : programs_) {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, program.object.get()) {
      if (const char* loaded = bpf_map__pin_path(map)) {
        // A new map was loaded in a folder of its own and has been moved since.
        const fs::path path = loaded;
        pin(path == shared_root_array_ ? path : pins_.folder() / path.filename(), bpf_map__fd(map));
      }
    }
  }
  return missing;
}

void Programs::attach_root() {
  const int root = program(kRootProgram).fd;
  const fs::path pin = pins_.folder() / kLinkPin;
  Fd pinned(bpf_obj_get(pin.c_str()));
  if (interface_of(pinned) == interface_index_) {
    if (bpf_link_update(pinned.get(), root, nullptr) != 0)
      fail("cannot replace the root program: " + because(errno));
    link_ = std::move(pinned);
    return;
  }
  if (is_attached_anywhere(pinned)) {
    log::warn(
        "the programs leave another interface, which they were on until now: this instance is on "
        "{}",
        find_name(interface_index_).value_or("another one"));
    if (const unsigned former = interface_of(pinned); former != 0) leave(former);
  }
  ::unlink(pin.c_str());
  LIBBPF_OPTS(bpf_link_create_opts, options);
  options.flags = xdp_mode_ == XdpMode::kNative ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  Fd link(bpf_link_create(root, static_cast<int>(interface_index_), BPF_XDP, &options));
  int error = link ? 0 : errno;
  std::string what;
  if (error == EBUSY || error == EEXIST) {
    what = holder_of(interface_index_) +
           " is on the interface already; remove it first: ip link set dev " +
           find_name(interface_index_).value_or("IFACE") +
           " xdp off, or, for another Remora, remorad --detach";
  } else if (error == EOPNOTSUPP || error == EINVAL) {
    what = "the interface does not take the XDP program: " + because(error) +
           "; set [lb] xdp_mode = \"generic\", or lower its MTU";
  } else if (error != 0) {
    what = "cannot attach the XDP program: " + because(error);
  } else if (bpf_obj_pin(link.get(), pin.c_str()) != 0) {
    what = "cannot pin " + pin.string() + ": " + because(errno);
  }
  if (what.empty()) {
    link_ = std::move(link);
    return;
  }
  if (attached_) fail(what);  // TC still serves existing connections
  detach_filters(interface_index_);
  fail(what);
}

bool Programs::detach(const fs::path& folder, unsigned interface_index) {
  libbpf_set_print(log_libbpf);
  bool any = false;
  // The two differ only if the interface was renamed or created again.
  std::set<unsigned> interfaces = {interface_index};
  if (const Fd link(bpf_obj_get((folder / kLinkPin).c_str())); link) {
    interfaces.insert(interface_of(link));
    bpf_link_detach(link.get());
    any = true;
  }
  interfaces.erase(0);
  for (const unsigned interface : interfaces) any = leave(interface) || any;
  PinnedMaps::remove_next(folder);
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    fs::remove(entry.path(), error);
    any = true;
  }
  fs::remove(folder, error);
  return any;
}

}  // namespace remora
