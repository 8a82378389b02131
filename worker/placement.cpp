#include "worker/placement.hpp"

#include <hwloc.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <type_traits>

namespace callboard::worker {

namespace {

bool parse_number(std::string_view text, std::uint32_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number <= kCoreMax;
}

struct DestroyTopology {
  void operator()(hwloc_topology_t topology) const { hwloc_topology_destroy(topology); }
};
struct FreeBitmap {
  void operator()(hwloc_bitmap_t bitmap) const { hwloc_bitmap_free(bitmap); }
};
using Topology = std::unique_ptr<std::remove_pointer_t<hwloc_topology_t>, DestroyTopology>;
using Bitmap = std::unique_ptr<std::remove_pointer_t<hwloc_bitmap_t>, FreeBitmap>;

}  // namespace

Result<CoreSet> parse_cores(std::string_view text) {
  if (text == "all") return usable_cores();
  CoreSet cores;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    const std::size_t dash = item.find('-');
    std::uint32_t first = 0;
    std::uint32_t last = 0;
    const bool good = dash == std::string_view::npos
                          ? parse_number(item, first) && parse_number(item, last)
                          : parse_number(item.substr(0, dash), first) &&
                                parse_number(item.substr(dash + 1), last);
    if (!good || last < first) {
      return {Errc::invalid_option,
              "\"" + std::string(item) + "\" is not a core or a range of cores such as 0-3"};
    }
    for (std::uint32_t core = first; core <= last; ++core) cores.push_back(core);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  std::sort(cores.begin(), cores.end());
  cores.erase(std::unique(cores.begin(), cores.end()), cores.end());
  return cores;
}

std::string to_string(const CoreSet& cores) {
  std::string text;
  for (std::size_t i = 0; i < cores.size();) {
    std::size_t end = i + 1;
    while (end < cores.size() && cores[end] == cores[end - 1] + 1) ++end;
    if (!text.empty()) text += ',';
    text += std::to_string(cores[i]);
    if (end - i > 1) text += '-' + std::to_string(cores[end - 1]);
    i = end;
  }
  return text;
}

CoreSet usable_cores() {
  CoreSet cores;
  // A kernel may be built for more processors than cpu_set_t has bits for; ask with a bigger one.
  const std::size_t bytes = CPU_ALLOC_SIZE(kCoreMax + 1);
  std::vector<std::uint64_t> memory(bytes / sizeof(std::uint64_t) + 1);
  auto* set = reinterpret_cast<cpu_set_t*>(memory.data());
  if (::sched_getaffinity(0, bytes, set) != 0) return cores;
  for (std::uint32_t core = 0; core <= kCoreMax; ++core) {
    if (CPU_ISSET_S(core, bytes, set)) cores.push_back(core);
  }
  return cores;
}

std::vector<CoreSet> split_cores(const CoreSet& cores, std::uint32_t processes) {
  std::vector<CoreSet> sets(processes);
  if (cores.empty()) return sets;
  const std::size_t n = cores.size();
  for (std::size_t i = 0; i < processes; ++i) {
    if (processes > n) {
      sets[i] = {cores[i % n]};
      continue;
    }
    sets[i].assign(cores.begin() + static_cast<std::ptrdiff_t>(i * n / processes),
                   cores.begin() + static_cast<std::ptrdiff_t>((i + 1) * n / processes));
  }
  return sets;
}

std::string bind_process(const CoreSet& cores) {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return "hwloc cannot be initialised";
  const Topology topology(raw);
  if (hwloc_topology_load(raw) != 0) return "hwloc cannot read the machine's topology";
  const Bitmap set(hwloc_bitmap_alloc());
  for (const std::uint32_t core : cores) hwloc_bitmap_set(set.get(), core);
  if (hwloc_set_cpubind(raw, set.get(), HWLOC_CPUBIND_PROCESS) != 0) {
    return "cannot bind to cores " + to_string(cores) + ": " + std::strerror(errno);
  }
  // Not strict: when the memory near these cores is full, memory further away is better than none.
  if (hwloc_set_membind(raw, set.get(), HWLOC_MEMBIND_BIND, HWLOC_MEMBIND_PROCESS) != 0) {
    return "cannot ask for memory near cores " + to_string(cores) + ": " + std::strerror(errno);
  }
  return {};
}

}  // namespace callboard::worker
