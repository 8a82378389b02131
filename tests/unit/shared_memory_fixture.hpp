// A folder for the shared memory of a test, and memories in it as different processes have them.
#pragma once

#include "common/shared_memory.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace callboard {

class SharedMemoryTest : public ::testing::Test {
 protected:
  SharedMemoryTest() {
    std::string name = "/dev/shm/test-callboard-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~SharedMemoryTest() override { std::filesystem::remove_all(folder_); }

  static constexpr std::size_t kValueBytes = 100'000;
  static constexpr std::uint64_t kPoolBytes = 16u << 20;
  static std::string value(char letter, std::size_t bytes = kValueBytes) {
    return std::string(bytes, letter);
  }

  std::unique_ptr<SharedMemory> memory(std::uint64_t bytes_max = kPoolBytes) const {
    SharedMemoryOptions options;
    options.folder = folder_;
    options.bytes_max = bytes_max;
    auto made = std::make_unique<SharedMemory>(options);
    made->add_reader();
    return made;
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& file : std::filesystem::directory_iterator(folder_)) {
      names.push_back(file.path().filename().string());
    }
    return names;
  }

  std::string folder_;
};

}  // namespace callboard
