#include "broker/transport/listener.hpp"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <memory>
#include <string>

namespace callboard::broker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string path_here(const char* name) {
  return ::testing::TempDir() + "callboard-" + name + "-" + std::to_string(getpid());
}

bool exists(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0;
}

/// What a process leaves that was killed.
void leave_socket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(fd);
}

TEST(Listener, SaysWhatIsWrongWithAnAddress) {
  for (const auto& [endpoint, problem] : {std::pair{"nonsense", "no address"},
                                          {"tcp://127.0.0.1", "no port"},
                                          {"tcp://127.0.0.1:70000", "65535"},
                                          {"tcp://127.0.0.1:x", "no number"},
                                          {"tcp://no-such-host:7700", "network interface"},
                                          {"ipc://", "its path"},
                                          {"ipc:///no/such/folder/socket", "No such file"}}) {
    Listener listener;
    EXPECT_THAT(listener.open(endpoint), AllOf(HasSubstr(endpoint), HasSubstr(problem)));
  }
  Listener listener;
  EXPECT_THAT(listener.open("ipc:///" + std::string(200, 'x')), HasSubstr("too long"));
}

TEST(Listener, KnowsInterfacesAndAllAddresses) {
  Listener loopback;
  ASSERT_EQ(loopback.open("tcp://lo:0"), "");
  EXPECT_THAT(loopback.endpoint(), StartsWith("tcp://127.0.0.1:"));
  Listener any;
  ASSERT_EQ(any.open("tcp://*:*"), "");
  EXPECT_THAT(any.endpoint(), ::testing::AnyOf(StartsWith("tcp://[::]:"),
                                               StartsWith("tcp://0.0.0.0:")));
}

TEST(Listener, FileOfADeadProcessIsReplacedAndThatOfALivingOneIsNot) {
  const std::string path = path_here("listener");
  leave_socket(path);
  {
    Listener listener;
    ASSERT_EQ(listener.open("ipc://" + path), "");
    Listener second;
    EXPECT_THAT(second.open("ipc://" + path), HasSubstr("in use"));
  }
  EXPECT_FALSE(exists(path));
}

TEST(Listener, FileThatIsNoSocketIsNeverReplaced) {
  const std::string path = path_here("file");
  std::ofstream(path) << "precious";
  Listener listener;
  EXPECT_THAT(listener.open("ipc://" + path), HasSubstr("in use"));
  std::string text;
  std::ifstream(path) >> text;
  EXPECT_EQ(text, "precious");
  ::unlink(path.c_str());
}

TEST(Listener, FileThatBelongsToSomebodyElseIsLeft) {
  const std::string path = path_here("theirs");
  auto first = std::make_unique<Listener>();
  ASSERT_EQ(first->open("ipc://" + path), "");
  ::rename(path.c_str(), (path + ".moved").c_str());
  Listener second;
  ASSERT_EQ(second.open("ipc://" + path), "");
  first.reset();
  EXPECT_TRUE(exists(path));
  ::unlink((path + ".moved").c_str());
}

TEST(Listener, AcceptsWhoComesAndNobodyElse) {
  const std::string path = path_here("accept");
  Listener listener;
  ASSERT_EQ(listener.open("ipc://" + path), "");
  EXPECT_EQ(listener.accept(), -1);
  EXPECT_EQ(errno, EAGAIN);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const int accepted = listener.accept();
  EXPECT_GE(accepted, 0);
  ::close(accepted);
  ::close(fd);
}

}  // namespace
}  // namespace callboard::broker
