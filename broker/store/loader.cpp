#include "broker/store/loader.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace callboard::broker {

namespace {

/// Keeps Redis busy while a page is being read; with kPageBytes it bounds what is under way.
constexpr std::size_t kScansAtOnce = 32;
constexpr std::size_t kPageBytes = 512 * 1024;
constexpr std::size_t kCountFirst = 64;
constexpr std::size_t kCountMax = 4000;

struct SingleKey {
  std::string_view name;
  KeyKind kind;
};

constexpr std::array<SingleKey, 10> kSingleKeys = {{
    {"classes", KeyKind::hash},
    {"sessions", KeyKind::hash},
    {"actors", KeyKind::hash},
    {"names", KeyKind::hash},
    {"schedules", KeyKind::hash},
    {"runs", KeyKind::hash},
    {"workers", KeyKind::sorted_set},
    {"queues", KeyKind::set},
    {"dedupe", KeyKind::set},
    {"journal", KeyKind::hash},
}};

std::string_view scan_verb(KeyKind kind) {
  switch (kind) {
    case KeyKind::set: return "SSCAN";
    case KeyKind::sorted_set: return "ZSCAN";
    default: return "HSCAN";
  }
}

}  // namespace

StoreLoader::StoreLoader(std::string prefix, Sink sink)
    : prefix_(std::move(prefix)), sink_(std::move(sink)) {}

bool StoreLoader::finished() const {
  return stage_ == Stage::end && asked_.empty() && to_continue_.empty();
}

std::size_t StoreLoader::ask(OutBuffer& out) {
  std::size_t asked = 0;
  Scan scan;
  while (asked_.size() < kScansAtOnce && next_scan(scan)) {
    RespWriter(out).command({scan_verb(scan.kind), prefix_ + scan.key, scan.cursor, "COUNT",
                             std::to_string(scan.count)});
    asked_.push_back(std::move(scan));
    ++asked;
  }
  return asked;
}

bool StoreLoader::next_scan(Scan& scan) {
  if (!to_continue_.empty()) {
    scan = std::move(to_continue_.front());
    to_continue_.pop_front();
    return true;
  }
  scan = Scan{};
  scan.count = kCountFirst;
  while (stage_ != Stage::end) {
    if (next_of_stage(scan)) return true;
    if (!asked_.empty()) return false;  // a stage begins when the one before is read whole
    stage_ = static_cast<Stage>(static_cast<int>(stage_) + 1);
    next_in_stage_ = 0;
  }
  return false;
}

bool StoreLoader::next_of_stage(Scan& scan) {
  const std::size_t index = next_in_stage_;
  const auto& names = stage_ == Stage::results ? sessions_
                      : stage_ == Stage::keyed ? buckets_
                                               : queues_;
  if (index == (stage_ == Stage::single ? kSingleKeys.size() : names.size())) return false;
  switch (stage_) {
    case Stage::single:
      scan.key = kSingleKeys[index].name;
      scan.kind = kSingleKeys[index].kind;
      break;
    case Stage::queues: scan.key = "q:" + names[index]; break;
    case Stage::results: scan.key = "results:" + names[index]; break;
    case Stage::calls: scan.key = "q:" + names[index] + ":calls"; break;
    case Stage::sent: scan.key = "q:" + names[index] + ":sent"; break;
    case Stage::delayed: scan.key = "q:" + names[index] + ":delayed"; break;
    case Stage::dead: scan.key = "q:" + names[index] + ":dead"; break;
    case Stage::keyed: scan.key = "dedupe:" + names[index]; break;
    case Stage::end: return false;
  }
  ++next_in_stage_;
  return true;
}

std::string StoreLoader::on_reply(const Reply& reply) {
  CALLBOARD_CHECK(!asked_.empty());
  Scan scan = std::move(asked_.front());
  asked_.pop_front();
  if (reply.is_error()) return prefix_ + scan.key + ": " + std::string(reply.text());
  if (reply.size() != 2 || reply[0].text().empty() || !reply[1].is_array()) {
    return prefix_ + scan.key + ": the answer makes no sense";
  }
  std::size_t bytes = 0;
  std::string problem = take_page(scan, reply[1], bytes);
  if (!problem.empty()) return problem;

  if (reply[0].text() != "0") {
    const std::size_t fields = std::max<std::size_t>(reply[1].size() / 2, 1);
    const std::size_t bytes_per_field = bytes / fields + 1;
    scan.count = std::clamp<std::size_t>(kPageBytes / bytes_per_field, 1, kCountMax);
    scan.cursor = reply[0].text();
    to_continue_.push_back(std::move(scan));
  }
  return {};
}

std::string StoreLoader::take_page(const Scan& scan, const Reply& page, std::size_t& bytes) {
  const std::size_t step = scan.kind == KeyKind::set ? 1 : 2;
  for (std::size_t i = 0; i + step <= page.size(); i += step) {
    const std::string_view field = page[i].text();
    const std::string_view value = step == 2 ? page[i + 1].text() : std::string_view();
    bytes += field.size() + value.size();
    ++entries_;
    if (scan.key == "queues") queues_.emplace_back(field);
    if (scan.key == "sessions") sessions_.emplace_back(field);
    if (scan.key == "dedupe") buckets_.emplace_back(field);
    const std::string problem = sink_({scan.key, field, value});
    if (!problem.empty()) {
      return prefix_ + scan.key + ", field " + std::string(field) + ": " + problem;
    }
  }
  return {};
}

}  // namespace callboard::broker
