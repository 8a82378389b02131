// Where the demos play: a system of their own that ends with them, or one that is there already.
//
// Thread safety: close() may be called by any thread; the rest by one.
#pragma once

#include "examples/stage.hpp"

#include <callboard/client.hpp>
#include <callboard/embedded.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace demos {

struct TheatreOptions {
  std::string broker = {};  ///< endpoint of a deployment; empty: a system of one's own
  std::string redis = {};   ///< endpoint of the deployment's Redis
  int workers = 4;          ///< processes of the system of one's own
  std::string library = {}; ///< libdemos.so; empty: where it lies beside this program
};

class Theatre {
 public:
  /// Throws callboard::Error or std::runtime_error when there is no system to play on.
  explicit Theatre(const TheatreOptions& options);
  ~Theatre();

  const Stage& stage() const { return *stage_; }
  /// One line for people: what runs where.
  const std::string& description() const { return description_; }
  /// Ends the system of one's own.
  void close();

 private:
  std::mutex mutex_;
  std::unique_ptr<callboard::EmbeddedSystem> system_;
  std::unique_ptr<callboard::Client> client_;
  std::optional<Stage> stage_;
  std::string description_;
};

}  // namespace demos
