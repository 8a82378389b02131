#include "examples/flags/demo.hpp"

#include "examples/flags/fetcher.hpp"
#include "examples/flags/slow_server.hpp"
#include "examples/ran.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace demos {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kFlags = 20;
constexpr int kFetchedAtOnce = 10;  ///< of 20, however busy the machine is

}  // namespace

fs::path flags_folder() {
  for (const fs::path folder : {"/usr/share/flags/countries/16x11",
                                "/usr/share/iso-flags-png-320x240/country-4x3",
                                "/usr/share/iso-flags-png-320x240"}) {
    if (fs::exists(folder / "de.png")) return folder;
  }
  throw std::runtime_error("no flags: install famfamfam-flag-png or iso-flags-png-320x240");
}

namespace {

std::string contents(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<fs::path> first_flags(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".png") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  files.resize(std::min(files.size(), kFlags));
  return files;
}

template <class F>
void row(Report& report, const std::string& what, bool many, const std::vector<fs::path>& files,
         SlowServer& server, const callboard::Actor<F>& fetcher) {
  server.take_peak();
  const auto begin = steady_us();
  std::vector<callboard::Future<callboard::Bytes>> futures;
  for (const auto& file : files) {
    futures.push_back(fetcher.template call<&F::get>(server.url(file.filename())));
  }
  std::size_t equal = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    equal += futures[i].get().data == contents(files[i]);
  }
  const double took = static_cast<double>(steady_us() - begin) / 1e6;
  const int peak = server.take_peak();
  const bool overlapped = many ? peak >= kFetchedAtOnce : peak == 1;
  report.row(what, many ? "20 right, >= 10 at once" : "20 right, 1 at once",
             std::to_string(equal) + " right, " + std::to_string(peak) + " at once, " +
                 seconds(took),
             equal == kFlags && overlapped);
}

}  // namespace

void show_flags(const Stage& stage, Report& report, const FlagsPlan& plan) {
  const fs::path folder = flags_folder();
  const auto files = first_flags(folder);
  SlowServer server(stage.address, plan.served.value_or(folder), plan.delay);
  callboard::Client& client = stage.client;
  row(report, "serial", false, files, server, client.actor<Fetcher>({.max_concurrency = 1}));
  row(report, "async", true, files, server,
      client.actor<AsyncFetcher>({.max_concurrency = plan.max_concurrency}));
  row(report, "threaded", true, files, server,
      client.actor<Fetcher>({.max_concurrency = plan.max_concurrency,
                             .mode = callboard::Mode::threaded}));
}

}  // namespace demos
