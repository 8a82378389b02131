// counter.hpp: all that a client of the class needs
#pragma once
#include <callboard/callboard.hpp>

class Counter {
 public:
  explicit Counter(int start);
  int add(int n);
  friend consteval auto describe(callboard::Class<Counter> c) {
    return c.name("Counter").constructor<int>().method<&Counter::add>("add");
  }
 private:
  int total_;
};
