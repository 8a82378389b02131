// A private redis-server for one test: its own directory and socket, gone with the test.
//
// It can be killed with -9, stopped for a while and started again on the same data. Thread safety:
// none. Failures to start are fatal for the test program's purpose and throw std::runtime_error.
#pragma once

#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace callboard::testing {

class RedisProcess {
 public:
  /// `settings` are lines of redis.conf, without the dashes: {"appendonly yes"}. Nothing is kept on
  /// disk unless they say so. The server is not started yet.
  explicit RedisProcess(std::vector<std::string> settings = {}) : settings_(std::move(settings)) {
    const auto pattern = std::filesystem::temp_directory_path() / "callboard-redis-XXXXXX";
    std::string path = pattern.string();
    if (mkdtemp(path.data()) == nullptr) throw std::runtime_error("no temporary directory");
    directory_ = path;
  }
  ~RedisProcess() {
    kill_hard();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  RedisProcess(const RedisProcess&) = delete;
  RedisProcess& operator=(const RedisProcess&) = delete;

  /// Starts the server, or starts it again, and waits until it accepts connections; with
  /// `until_loaded` also until it has read its data.
  void start(bool until_loaded = true) {
    write_configuration();
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ < 0) throw std::runtime_error("no fork");
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is killed leaves nothing behind
      if (getppid() != parent) _exit(1);
      signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is to look like a full disk
      execlp("redis-server", "redis-server", configuration().c_str(), nullptr);
      _exit(127);
    }
    wait_until_there(until_loaded);
  }
  /// kill -9, as when the machine's owner loses patience.
  void kill_hard() { end(SIGKILL); }
  /// The polite way.
  void stop() { end(SIGTERM); }
  /// It stays where it is and answers nobody.
  void pause() const { kill(pid_, SIGSTOP); }
  void resume() const { kill(pid_, SIGCONT); }
  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }

  const std::filesystem::path& directory() const { return directory_; }
  std::string socket() const { return (directory_ / "redis.sock").string(); }
  std::string url() const { return "unix://" + socket(); }
  /// For the next start().
  void set(std::vector<std::string> settings) { settings_ = std::move(settings); }

  /// What a command answers, as redis-cli would print it: lines of a list one by one, "(nil)".
  std::vector<std::string> command(const std::vector<std::string>& words) const {
    const std::unique_ptr<redisContext, decltype(&redisFree)> context(
        redisConnectUnix(socket().c_str()), redisFree);
    std::vector<std::string> lines = {"(no connection)"};
    if (context == nullptr || context->err != 0) return lines;
    if (!password_.empty()) ask(*context, {"AUTH", password_}, lines);
    ask(*context, words, lines);
    return lines;
  }
  /// The first line of it.
  std::string answer(const std::vector<std::string>& words) const {
    const auto lines = command(words);
    return lines.empty() ? "" : lines.front();
  }

 private:
  static void ask(redisContext& context, const std::vector<std::string>& words,
                  std::vector<std::string>& lines) {
    std::vector<const char*> arguments;
    std::vector<std::size_t> sizes;
    for (const std::string& word : words) {
      arguments.push_back(word.data());
      sizes.push_back(word.size());
    }
    lines = {"(no connection)"};
    void* reply = redisCommandArgv(&context, static_cast<int>(words.size()), arguments.data(),
                                   sizes.data());
    if (reply == nullptr) return;
    lines.clear();
    print(static_cast<const redisReply*>(reply), lines);
    freeReplyObject(reply);
  }

  std::string configuration() const { return (directory_ / "redis.conf").string(); }

  void write_configuration() {
    std::ofstream file(configuration(), std::ios::trunc);
    file << "port 0\nunixsocket " << socket() << "\ndir " << directory_.string()
         << "\nsave \"\"\nappendonly no\nmaxmemory-policy noeviction\nlogfile "
         << (directory_ / "log").string() << "\n";
    password_.clear();
    for (const std::string& line : settings_) {
      file << line << "\n";
      if (line.starts_with("requirepass ")) password_ = line.substr(line.find(' ') + 1);
    }
    if (!file.flush()) throw std::runtime_error("redis.conf cannot be written");
  }

  static void print(const redisReply* reply, std::vector<std::string>& lines) {
    if (reply == nullptr) return;
    if (reply->type == REDIS_REPLY_INTEGER) {
      lines.push_back(std::to_string(reply->integer));
    } else if (reply->type == REDIS_REPLY_ARRAY) {
      for (std::size_t i = 0; i < reply->elements; ++i) print(reply->element[i], lines);
    } else if (reply->type == REDIS_REPLY_NIL) {
      lines.emplace_back("(nil)");
    } else {
      lines.emplace_back(reply->str, reply->len);
    }
  }

  void wait_until_there(bool until_loaded) {
    for (int tries = 0; tries < 2000; ++tries) {
      const std::string pong = answer({"PING"});
      if (pong == "PONG" || (!until_loaded && pong.starts_with("LOADING"))) return;
      int status = 0;
      if (waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = -1;
        throw std::runtime_error("redis-server ended at once; is it installed?");
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    throw std::runtime_error("redis-server does not answer");
  }

  void end(int signal) {
    if (pid_ <= 0) return;
    kill(pid_, signal);
    kill(pid_, SIGCONT);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

  std::vector<std::string> settings_;
  std::filesystem::path directory_;
  std::string password_;
  pid_t pid_ = -1;
};

}  // namespace callboard::testing
