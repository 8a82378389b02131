#include <callboard/embedded.hpp>

#include "common/clock.hpp"
#include "embedded/owner.hpp"
#include "embedded/programs.hpp"
#include "embedded/runtime_dir.hpp"

#include <filesystem>
#include <utility>

#include <unistd.h>

namespace callboard {

namespace {

using embedded::ChildPlan;
using embedded::Owner;
using embedded::Plan;
using embedded::ReadyWhen;
using embedded::Report;
using embedded::RuntimeDir;

[[noreturn]] void give_up(std::string why) {
  ErrorInfo error;
  error.code = Errc::invalid_option;
  error.message = std::move(why);
  throw_error(std::move(error));
}

template <class T>
T value_of(Result<T> result) {
  if (!result) give_up(result.text());
  return std::move(*result);
}

ChildPlan plan_redis(const EmbeddedOptions& options, const std::string& dir) {
  const bool keeps = !options.data_dir.empty();
  ChildPlan child;
  child.name = "redis-server";
  child.ready_when = ReadyWhen::redis_pong;
  child.ready_path = dir + "/redis.sock";
  child.log_path = dir + "/redis.log";
  child.command = {value_of(embedded::find_redis_server(options.redis_program)),
                   "--port",
                   "0",
                   "--unixsocket",
                   child.ready_path,
                   "--unixsocketperm",
                   "700",
                   "--daemonize",
                   "no",
                   "--save",
                   "",
                   "--appendonly",
                   keeps ? "yes" : "no",
                   "--appendfsync",
                   keeps ? options.fsync : "no",
                   // What is appended is mostly gone soon: a small store would be written anew, by
                   // a process of its own, every second at full load.
                   "--auto-aof-rewrite-min-size",
                   "256mb",
                   "--rdbcompression",
                   "no",
                   "--maxmemory-policy",
                   "noeviction",
                   "--loglevel",
                   "notice",
                   "--dir",
                   keeps ? std::filesystem::absolute(options.data_dir).string() : dir};
  return child;
}

void append(std::vector<std::string>& list, const std::vector<std::string>& more) {
  list.insert(list.end(), more.begin(), more.end());
}

/// An absolute path, so that it means the same to a process of any directory.
std::string absolute(const std::string& path) {
  return path.find('/') == std::string::npos && !std::filesystem::exists(path)
             ? path  // a name for the dynamic loader to look up
             : std::filesystem::absolute(path).string();
}

}  // namespace

class EmbeddedSystem::Impl {
 public:
  explicit Impl(EmbeddedOptions options) : options_(std::move(options)), process_(::getpid()) {
    if (options_.workers < 0) give_up("workers must not be negative");
    if (options_.fsync != "everysec" && options_.fsync != "always") {
      give_up("fsync must be everysec or always, not " + options_.fsync);
    }
    if (!options_.data_dir.empty()) make_data_dir();
    if (options_.port != 0 && !embedded::is_free_port(options_.port)) {
      give_up("port " + std::to_string(options_.port) + " of 127.0.0.1 is in use");
    }
    // Another program may take a free port before the broker does; then another one is tried.
    const int tries = options_.port == 0 ? 3 : 1;
    for (int i = 1; !start(i == tries); ++i) stop();
  }

  ~Impl() { stop(); }

  void stop() noexcept {
    if (process_ != ::getpid()) return;  // a fork of the owner is not the owner
    if (owner_) owner_->stop(options_.stop_timeout * 4 + std::chrono::seconds(1));
    dir_.remove();
  }

  std::vector<std::string> news(std::chrono::milliseconds timeout) {
    std::vector<std::string> out;
    for (auto& report : owner_->receive(timeout)) {
      note(report);
      if (!report.text.empty()) out.push_back(report.text);
    }
    if (!owner_->connected() && std::exchange(running_, false) && !ended_as_told_) {
      out.emplace_back("the keeper was killed, and all its processes with it");
      dir_.remove();
    }
    return out;
  }

  const EmbeddedOptions& options() const { return options_; }

  std::string endpoint_, ipc_endpoint_, redis_socket_, runtime_dir_;
  EmbeddedProcesses processes_;
  bool running_ = false;

 private:
  void make_data_dir() {
    std::error_code error;
    std::filesystem::create_directories(options_.data_dir, error);
    if (error) give_up(options_.data_dir + ": " + error.message());
  }

  ChildPlan plan_broker(const std::string& callboard) const {
    ChildPlan child;
    child.name = "broker";
    child.ready_when = ReadyWhen::said;
    child.environment = {"CALLBOARD_CONFIG=" + config_file()};
    child.command = {callboard,  "broker",
                     "--listen", endpoint_,
                     "--listen", ipc_endpoint_,
                     "--events", "ipc://" + runtime_dir_ + "/events.sock",
                     "--redis",  "unix://" + redis_socket_};
    append(child.command, options_.broker_flags);
    return child;
  }

  ChildPlan plan_worker(const std::string& callboard) const {
    ChildPlan child;
    child.name = "worker";
    child.ready_when = ReadyWhen::said;
    child.environment = {"CALLBOARD_CONFIG=" + config_file(),
                         "CALLBOARD_RUNTIME_DIR=" + runtime_dir_};
    child.command = options_.worker_command.empty() ? std::vector<std::string>{callboard, "worker"}
                                                    : options_.worker_command;
    append(child.command,
           {"--broker", ipc_endpoint_, "--processes", std::to_string(options_.workers)});
    for (const auto& library : options_.load) append(child.command, {"--load", absolute(library)});
    append(child.command, options_.worker_flags);
    return child;
  }

  std::string config_file() const {
    return options_.config_file.empty() ? "/dev/null" : absolute(options_.config_file);
  }

  /// One try. False when it failed and may be tried again; throws when it is the last one.
  bool start(bool last) {
    dir_ = value_of(RuntimeDir::make());
    runtime_dir_ = dir_.path();
    redis_socket_ = runtime_dir_ + "/redis.sock";
    ipc_endpoint_ = "ipc://" + runtime_dir_ + "/broker.sock";
    const auto port = options_.port != 0 ? options_.port : value_of(embedded::find_free_port());
    endpoint_ = "tcp://127.0.0.1:" + std::to_string(port);
    const auto callboard = value_of(embedded::find_callboard(options_.callboard_program));
    Plan plan;
    plan.runtime_dir = runtime_dir_;
    plan.restart = options_.restart;
    plan.ready_timeout_ms = options_.ready_timeout.count();
    plan.stop_timeout_ms = options_.stop_timeout.count();
    plan.children = {plan_redis(options_, runtime_dir_), plan_broker(callboard)};
    if (options_.workers > 0) plan.children.push_back(plan_worker(callboard));
    auto owner = value_of(Owner::start_keeper(callboard, plan, dir_.lock_fd()));
    owner_ = std::make_unique<Owner>(std::move(owner));
    processes_ = {};
    processes_.keeper = owner_->keeper();
    ended_as_told_ = false;
    return wait_until_ready(last);
  }

  bool wait_until_ready(bool last) {
    const auto until = clock_now().mono_us + options_.ready_timeout.count() * kMicrosPerMilli;
    while (owner_->connected() && clock_now().mono_us < until) {
      const auto left_ms = (until - clock_now().mono_us) / kMicrosPerMilli + 1;
      for (auto& report : owner_->receive(std::chrono::milliseconds(left_ms))) {
        note(report);
        if (report.kind == Report::Kind::failed) {
          const bool broker = report.text.starts_with("broker");
          if (broker && !last) return false;
          stop();
          give_up(report.text);
        }
        if (report.kind == Report::Kind::ready && report.child.empty()) running_ = true;
      }
      if (running_) return true;
    }
    const bool connected = owner_->connected();
    stop();
    give_up(connected ? "the system was not ready in time"
                      : "the keeper ended before it was ready");
  }

  void note(const Report& report) {
    const auto pid = report.kind == Report::Kind::ended ? 0 : static_cast<int>(report.pid);
    if (report.child == "redis-server") processes_.redis = pid;
    if (report.child == "broker") processes_.broker = pid;
    if (report.child == "worker") processes_.worker = pid;
    if (report.kind == Report::Kind::failed || report.kind == Report::Kind::stopped) {
      ended_as_told_ = true;
      running_ = false;
    }
  }

  EmbeddedOptions options_;
  const pid_t process_;
  RuntimeDir dir_;
  std::unique_ptr<Owner> owner_;
  bool ended_as_told_ = false;
};

EmbeddedSystem::EmbeddedSystem(EmbeddedOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}

EmbeddedSystem::~EmbeddedSystem() = default;

const std::string& EmbeddedSystem::endpoint() const { return impl_->endpoint_; }
const std::string& EmbeddedSystem::ipc_endpoint() const { return impl_->ipc_endpoint_; }
const std::string& EmbeddedSystem::redis_socket() const { return impl_->redis_socket_; }
const std::string& EmbeddedSystem::runtime_dir() const { return impl_->runtime_dir_; }
bool EmbeddedSystem::running() const { return impl_->running_; }

EmbeddedProcesses EmbeddedSystem::processes() {
  impl_->news(std::chrono::milliseconds(0));
  return impl_->processes_;
}

std::vector<std::string> EmbeddedSystem::news(std::chrono::milliseconds timeout) {
  return impl_->news(timeout);
}

void EmbeddedSystem::stop() noexcept {
  impl_->stop();
  impl_->running_ = false;
}

}  // namespace callboard
