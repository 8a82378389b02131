#include "embedded/plan.hpp"

#include <callboard/codec.hpp>

namespace callboard::embedded {

namespace {

void write_list(wire::Writer& out, const std::vector<std::string>& list) {
  out.array(list.size());
  for (const auto& item : list) out.str(item);
}

bool read_list(wire::Reader& in, std::vector<std::string>& list) {
  std::uint32_t n = 0;
  if (!in.array(n)) return false;
  for (; n > 0; --n) {
    if (!in.str(list.emplace_back())) return false;
  }
  return true;
}

bool read_child(wire::Reader& in, ChildPlan& child) {
  std::uint32_t n = 0;
  std::uint8_t ready_when = 0;
  const bool ok = in.array(n) && n == 6 && in.str(child.name) && read_list(in, child.command) &&
                  read_list(in, child.environment) && in.uint_max(ready_when, 2) &&
                  in.str(child.ready_path) && in.str(child.log_path);
  child.ready_when = static_cast<ReadyWhen>(ready_when);
  return ok && !child.command.empty();
}

}  // namespace

std::string encode(const Plan& plan) {
  std::string bytes;
  wire::Writer out(bytes);
  out.array(5);
  out.str(plan.runtime_dir);
  out.boolean(plan.restart);
  out.integer(plan.ready_timeout_ms);
  out.integer(plan.stop_timeout_ms);
  out.array(plan.children.size());
  for (const auto& child : plan.children) {
    out.array(6);
    out.str(child.name);
    write_list(out, child.command);
    write_list(out, child.environment);
    out.uint(static_cast<std::uint8_t>(child.ready_when));
    out.str(child.ready_path);
    out.str(child.log_path);
  }
  return bytes;
}

Result<Plan> decode_plan(std::string_view bytes) {
  wire::Reader in(bytes);
  Plan plan;
  std::uint32_t n = 0;
  bool ok = in.array(n) && n == 5 && in.str(plan.runtime_dir) && in.boolean(plan.restart) &&
            in.integer(plan.ready_timeout_ms) && in.integer(plan.stop_timeout_ms) && in.array(n);
  for (; ok && n > 0; --n) ok = read_child(in, plan.children.emplace_back());
  if (!ok || !in.at_end()) return {Errc::protocol_error, "the plan is not readable"};
  return plan;
}

std::string encode(const Report& report) {
  std::string bytes;
  wire::Writer out(bytes);
  out.array(4);
  out.uint(static_cast<std::uint8_t>(report.kind));
  out.str(report.child);
  out.integer(report.pid);
  out.str(report.text);
  return bytes;
}

Result<Report> decode_report(std::string_view bytes) {
  wire::Reader in(bytes);
  Report report;
  std::uint32_t n = 0;
  std::uint8_t kind = 0;
  if (!in.array(n) || n != 4 || !in.uint_max(kind, 4) || !in.str(report.child) ||
      !in.integer(report.pid) || !in.str(report.text) || !in.at_end()) {
    return {Errc::protocol_error, "the keeper's report is not readable"};
  }
  report.kind = static_cast<Report::Kind>(kind);
  return report;
}

}  // namespace callboard::embedded
