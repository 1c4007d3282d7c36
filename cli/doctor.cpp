// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor.h"

#include <bpf/libbpf.h>

#include <iostream>
#include <stdexcept>

#include "cli/doctor/broker_checks.h"
#include "cli/doctor/lb_checks.h"
#include "cli/doctor/report.h"

namespace remora {
namespace {

constexpr int kCouldNotLook = 2;

std::string address_problem(const std::string& text) {
  return Address::parse(text) ? "" : "\"" + text + "\" is no IPv4 or IPv6 address";
}

std::string service_problem(const std::string& text) {
  if (doctor::parse_service(text)) return "";
  return "\"" + text + "\" is no service; write 10.1.50.200:1883 or [fc00:50::200]:1883";
}

}  // namespace

DoctorCommand::DoctorCommand(CLI::App& app)
    : command_(app.add_subcommand("doctor", "what is wrong on this host, and the remedy")) {
  command_->add_flag("--json", as_json_, "as JSON");
  CLI::Option* broker = command_->add_flag("--broker", is_broker_, "this is a broker host");
  command_->add_option("--config", config_,
                       "/etc/remora/remora.toml, or with --broker /etc/remora/decap.toml");
  command_->add_option("--bpffs", bpffs_, "mounted BPF file system")
      ->capture_default_str()
      ->excludes(broker);
  command_->add_option("--service", services_, "ADDRESS:PORT that the broker serves; repeatable")
      ->check(service_problem)
      ->needs(broker);
  command_->add_option("--interface", interface_, "where the load balancer's packets arrive")
      ->needs(broker);
  command_->add_option("--vip", vips_, "behind Katran: of a group of the broker; repeatable")
      ->check(address_problem)
      ->needs(broker);
  command_->add_option("--client", clients_, "an address that stands for all clients")
      ->check(address_problem)
      ->needs(broker);
}

int DoctorCommand::run(const std::filesystem::path& runtime_dir,
                       const std::string& instance) const {
  libbpf_set_print(nullptr);
  doctor::Findings findings;
  try {
    if (is_broker_) {
      doctor::BrokerQuestion question;
      question.config = config_;
      question.interface = interface_;
      for (const std::string& service : services_)
        question.services.push_back(*doctor::parse_service(service));
      for (const std::string& vip : vips_) question.vips.push_back(*Address::parse(vip));
      for (const std::string& text : clients_) {
        const Address client = *Address::parse(text);
        (client.is_ipv4() ? question.client4 : question.client6) = client;
      }
      findings = doctor::check_broker(doctor::look_at_broker(question));
    } else {
      doctor::LbPlaces places;
      if (!config_.empty()) places.config = config_;
      places.runtime_dir = runtime_dir;
      places.bpffs = bpffs_;
      places.instance = instance;
      findings = doctor::check_lb(doctor::look_at_lb(places));
    }
  } catch (const std::exception& error) {
    std::cerr << "remoractl: " << error.what() << '\n';
    return kCouldNotLook;
  }
  if (as_json_) {
    std::cout << doctor::to_json(findings).dump(2, ' ', false,
                                                nlohmann::ordered_json::error_handler_t::replace)
              << '\n';
  } else {
    doctor::print_findings(std::cout, findings);
  }
  return doctor::exit_code(findings);
}

}  // namespace remora
