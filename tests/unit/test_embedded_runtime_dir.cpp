// Where an embedded system keeps its sockets, and what happens to leftovers.
#include "embedded/runtime_dir.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace callboard::embedded {
namespace {

namespace fs = std::filesystem;

class RuntimeDirTest : public testing::Test {
 protected:
  RuntimeDirTest() {
    std::string path = "/tmp/cbtestXXXXXX";
    base_ = ::mkdtemp(path.data());
    ::unsetenv("XDG_RUNTIME_DIR");
    ::setenv("TMPDIR", base_.c_str(), 1);
  }
  ~RuntimeDirTest() override {
    ::unsetenv("TMPDIR");
    fs::remove_all(base_);
  }

  std::string leftover(const std::string& name) const {
    const auto path = base_ + "/" + name;
    fs::create_directory(path);
    std::ofstream(path + "/redis.sock") << "x";
    return path;
  }

  std::string base_;
};

TEST_F(RuntimeDirTest, IsPrivateAndGoesWithItsOwner) {
  std::string path;
  {
    auto dir = RuntimeDir::make();
    ASSERT_TRUE(dir) << dir.text();
    path = dir->path();
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777u, 0700u);
    EXPECT_EQ(fs::path(path).parent_path(), base_);
    std::ofstream(path + "/file") << "x";
  }
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(fs::is_empty(base_));
}

TEST_F(RuntimeDirTest, LeftoverOfADeadOwnerGoesAtTheNextStart) {
  const auto old = leftover("callboard-abc123");
  auto dir = RuntimeDir::make();
  ASSERT_TRUE(dir) << dir.text();
  EXPECT_FALSE(fs::exists(old));
}

TEST_F(RuntimeDirTest, DirectoryOfALivingOwnerStays) {
  auto first = RuntimeDir::make();
  ASSERT_TRUE(first) << first.text();
  auto second = RuntimeDir::make();
  ASSERT_TRUE(second) << second.text();
  EXPECT_NE(first->path(), second->path());
  EXPECT_TRUE(fs::exists(first->path()));
}

TEST_F(RuntimeDirTest, LockLivesOnWithWhoeverInheritedIt) {
  auto dir = RuntimeDir::make();
  ASSERT_TRUE(dir) << dir.text();
  const auto path = dir->path();
  const int inherited = ::dup(dir->lock_fd());
  dir->release();
  remove_leftovers(base_);
  EXPECT_TRUE(fs::exists(path));
  ::close(inherited);
  remove_leftovers(base_);
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(RuntimeDirTest, WhatHasAnotherNameIsNotTouched) {
  const auto other = leftover("callboard-data");
  const auto longer = leftover("callboard-abc1234");
  const auto unlocked = leftover(".callboard-abc123");  // being made at this moment
  fs::create_symlink(other, base_ + "/callboard-link01");
  remove_leftovers(base_);
  EXPECT_TRUE(fs::exists(other + "/redis.sock"));
  EXPECT_TRUE(fs::exists(longer));
  EXPECT_TRUE(fs::exists(unlocked));
}

TEST_F(RuntimeDirTest, BaseWhosePathIsTooLongForASocketIsPassedOver) {
  const auto deep = base_ + "/" + std::string(100, 'd');
  fs::create_directory(deep);
  ::setenv("TMPDIR", deep.c_str(), 1);
  auto dir = RuntimeDir::make();
  ASSERT_TRUE(dir) << dir.text();
  EXPECT_NE(fs::path(dir->path()).parent_path(), deep);
  EXPECT_LT(dir->path().size(), 90u);
}

}  // namespace
}  // namespace callboard::embedded
