// What both sides know of the class and the task.
#pragma once
#include <callboard/callboard.hpp>

#include <string>

class Greeter {
 public:
  explicit Greeter(std::string word);
  std::string greet(std::string name);
  friend consteval auto describe(callboard::Class<Greeter> c) {
    return c.name("Greeter").constructor<std::string>().method<&Greeter::greet>("greet");
  }

 private:
  std::string word_;
  int count_ = 0;
};

int twice(int number);
inline constexpr callboard::Task<&twice> twice_task{"twice"};
