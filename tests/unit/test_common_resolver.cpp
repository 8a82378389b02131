// Lookups that take their time.
#include "common/resolver.hpp"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <poll.h>

#include <chrono>
#include <future>
#include <string>
#include <vector>

namespace callboard {
namespace {

/// A lookup that answers when it is told to.
struct SlowNameServer {
  std::promise<void> go_on;
  std::promise<void> asked;

  Resolver::LookUp look_up() {
    return [this, gate = go_on.get_future().share()](const std::string&, std::uint16_t port,
                                                     std::vector<SocketAddress>& addresses) {
      asked.set_value();
      gate.wait();
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(port);
      inet_pton(AF_INET, "192.0.2.7", &address.sin_addr);
      addresses.push_back(
          {AF_INET, std::string(reinterpret_cast<const char*>(&address), sizeof address)});
      return std::string();
    };
  }
};

bool wait_for(const Resolver& resolver) {
  pollfd readable{resolver.fd(), POLLIN, 0};
  return poll(&readable, 1, 10'000) == 1;
}

TEST(Resolver, NumbersAreAnsweredAtOnce) {
  Resolver resolver([](auto&, auto, auto&) { return "was asked"; });
  for (const char* host : {"127.0.0.1", "::1"}) {
    resolver.start(host, 7700);
    std::vector<SocketAddress> addresses;
    std::string problem;
    ASSERT_TRUE(resolver.collect(addresses, problem)) << host;
    EXPECT_EQ(problem, "");
    ASSERT_EQ(addresses.size(), 1u);
    EXPECT_EQ(text_of(addresses[0]), host[0] == ':' ? "[::1]:7700" : "127.0.0.1:7700");
  }
}

TEST(Resolver, NameIsLookedUpWithoutMakingTheCallerWait) {
  SlowNameServer server;
  Resolver resolver(server.look_up());
  resolver.start("somewhere", 7700);
  std::vector<SocketAddress> addresses;
  std::string problem;
  EXPECT_FALSE(resolver.collect(addresses, problem));
  EXPECT_TRUE(resolver.busy());
  server.go_on.set_value();
  ASSERT_TRUE(wait_for(resolver));
  ASSERT_TRUE(resolver.collect(addresses, problem));
  EXPECT_FALSE(resolver.busy());
  ASSERT_EQ(addresses.size(), 1u);
  EXPECT_EQ(text_of(addresses[0]), "192.0.2.7:7700");
}

TEST(Resolver, NobodyWaitsForALookupThatIsNoLongerWanted) {
  SlowNameServer server;
  {
    Resolver resolver(server.look_up());
    resolver.start("somewhere", 7700);
    server.asked.get_future().wait();
  }
  server.go_on.set_value();
}

TEST(Resolver, NameThatNobodyKnowsIsAProblemAndNoAddress) {
  Resolver resolver;
  resolver.start("no-such-host.invalid", 7700);
  ASSERT_TRUE(wait_for(resolver));
  std::vector<SocketAddress> addresses;
  std::string problem;
  ASSERT_TRUE(resolver.collect(addresses, problem));
  EXPECT_TRUE(addresses.empty());
  EXPECT_NE(problem, "");
}

}  // namespace
}  // namespace callboard
