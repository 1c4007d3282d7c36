// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor.h"

#include <bpf/libbpf.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "cli/doctor/broker_checks.h"
#include "cli/doctor/lb_checks.h"
#include "cli/doctor/report.h"
#include "daemon/command_line/exit_codes.h"

namespace remora {

int run_doctor(const DoctorOptions& options, const std::filesystem::path& runtime_dir,
               const std::string& instance) {
  libbpf_set_print(nullptr);
  doctor::Findings findings;
  try {
    if (options.is_broker) {
      doctor::BrokerQuestion question;
      question.config = options.config;
      question.interface = options.interface;
      for (const std::string& service : options.services)
        question.services.push_back(*parse_service(service));
      for (const std::string& vip : options.vips) question.vips.push_back(*Address::parse(vip));
      for (const std::string& text : options.clients) {
        const Address client = *Address::parse(text);
        (client.is_ipv4() ? question.client4 : question.client6) = client;
      }
      findings = doctor::check_broker(doctor::look_at_broker(question));
    } else {
      doctor::LbPlaces places;
      if (!options.config.empty()) places.config = options.config;
      places.runtime_dir = runtime_dir;
      places.bpffs = options.bpffs;
      places.instance = instance;
      findings = doctor::check_lb(doctor::look_at_lb(places));
    }
  } catch (const std::exception& error) {
    std::cerr << "remoractl: " << error.what() << '\n';
    return kNotInOrder;
  }
  if (options.as_json) {
    std::cout << doctor::to_json(findings).dump(2, ' ', false,
                                                nlohmann::ordered_json::error_handler_t::replace)
              << '\n';
  } else {
    doctor::print_findings(std::cout, findings);
  }
  return doctor::exit_code(findings);
}

}  // namespace remora
