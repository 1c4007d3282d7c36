// SPDX-License-Identifier: Apache-2.0
#include "bench/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <ostream>

namespace remora::bench {
namespace {

constexpr double kVerifierGoal = 1.0;  // seconds
constexpr double kScalingGoal = 0.95;  // of the floor's factor

double tenths(double value) {
  return std::round(value * 10) / 10;
}
double hundredths(double value) {
  return std::round(value * 100) / 100;
}

std::string verdict(const Row& row) {
  if (!row.goal) return "";
  char text[48];
  const char* result = row.ratio.median <= *row.goal ? "met" : "missed";
  std::snprintf(text, sizeof text, "goal %.2f %s", *row.goal, result);
  return text;
}

}  // namespace

Figure figure_of(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const auto at = [&](std::size_t quarter) { return samples[(samples.size() - 1) * quarter / 4]; };
  return {at(2), at(1), at(3)};
}

namespace {

void print_rows(std::ostream& out, const char* baseline, const std::vector<Row>& rows) {
  char line[160];
  std::snprintf(line, sizeof line, "\n%-44s %7s %15s %7s %7s\n", "per packet", "ns", "quartiles",
                baseline, "ratio");
  out << line;
  for (const Row& row : rows) {
    std::snprintf(line, sizeof line, "%-44s %7.1f %7.1f-%7.1f %7.1f %7.2f  %s\n", row.name.c_str(),
                  row.ns.median, row.ns.low, row.ns.high, row.baseline.median, row.ratio.median,
                  verdict(row).c_str());
    out << line;
  }
}

void print_machine(std::ostream& out, const Machine& machine) {
  out << machine.cpu << ", " << machine.cpus << " CPUs, Linux " << machine.kernel << '\n';
  for (const auto& [name, state] : machine.mitigations)
    out << "  " << name << ": " << state << '\n';
  out << '\n';
}

void print_scaling(std::ostream& out, const std::vector<ScalingRow>& rows) {
  char line[160];
  std::snprintf(line, sizeof line, "\n%-44s %7s %7s %7s %7s %7s\n", "on two CPUs at once", "1: ns",
                "2: ns", "factor", "floor's", "ratio");
  out << line;
  for (const ScalingRow& row : rows) {
    const double ratio = row.factor / row.floor;
    std::snprintf(line, sizeof line, "%-44s %7.1f %7.1f %7.2f %7.2f %7.2f  goal %.2f %s\n",
                  row.name.c_str(), row.one_ns, row.two_ns, row.factor, row.floor, ratio,
                  kScalingGoal, ratio >= kScalingGoal ? "met" : "missed");
    out << line;
  }
}

nlohmann::ordered_json json_of(const Machine& machine) {
  nlohmann::ordered_json json = {
      {"cpu", machine.cpu}, {"cpus", machine.cpus}, {"kernel", machine.kernel}};
  json["mitigations"] = nlohmann::ordered_json::object();
  for (const auto& [name, state] : machine.mitigations) json["mitigations"][name] = state;
  return json;
}

nlohmann::ordered_json json_of(const std::vector<ScalingRow>& rows) {
  nlohmann::ordered_json list = nlohmann::json::array();
  for (const ScalingRow& row : rows)
    list.push_back(nlohmann::ordered_json{{"case", row.name},
                                          {"one_ns", tenths(row.one_ns)},
                                          {"two_ns", tenths(row.two_ns)},
                                          {"factor", hundredths(row.factor)},
                                          {"floor_factor", hundredths(row.floor)}});
  return list;
}

nlohmann::ordered_json json_of(const std::vector<Row>& rows, const char* baseline) {
  nlohmann::ordered_json list = nlohmann::json::array();
  for (const Row& row : rows) {
    nlohmann::ordered_json entry = {
        {"case", row.name},
        {"ns", tenths(row.ns.median)},
        {"ratio", hundredths(row.ratio.median)},
        {"ns_quartiles", {tenths(row.ns.low), tenths(row.ns.high)}},
        {baseline, tenths(row.baseline.median)},
    };
    if (row.goal) {
      entry["goal"] = *row.goal;
      entry["met"] = row.ratio.median <= *row.goal;
    }
    list.push_back(entry);
  }
  return list;
}

}  // namespace

void print_table(std::ostream& out, const Report& report) {
  print_machine(out, report.machine);
  char line[160];
  for (const VerifierCost& cost : report.programs) {
    std::snprintf(line, sizeof line, "%-12s verified in %.3f s, %7llu instructions%s\n",
                  cost.program.c_str(), cost.seconds,
                  static_cast<unsigned long long>(cost.instructions),
                  cost.seconds < kVerifierGoal ? "" : "  (goal 1 s missed)");
    out << line;
  }
  print_rows(out, "floor", report.rows);
  if (report.against_katran)
    print_rows(out, "Katran", *report.against_katran);
  else
    out << "\nThe comparison with Katran was left out: --katran, or REMORA_KATRAN_OBJ, names an\n"
           "object of it (balancer.bpf.o).\n";
  if (!report.on_two_cpus.empty()) print_scaling(out, report.on_two_cpus);
}

void print_json(std::ostream& out, const Report& report) {
  nlohmann::ordered_json json;
  json["machine"] = json_of(report.machine);
  json["rows"] = json_of(report.rows, "floor_ns");
  // null: no object of Katran was given
  json["against_katran"] = nullptr;
  if (report.against_katran) json["against_katran"] = json_of(*report.against_katran, "katran_ns");
  json["on_two_cpus"] = json_of(report.on_two_cpus);
  json["programs"] = nlohmann::json::array();
  for (const VerifierCost& cost : report.programs)
    json["programs"].push_back(nlohmann::ordered_json{{"program", cost.program},
                                                      {"verification_s", cost.seconds},
                                                      {"instructions", cost.instructions}});
  out << json.dump(2) << '\n';
}

}  // namespace remora::bench
