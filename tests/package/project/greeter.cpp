#include "greeter.hpp"

#include <utility>

Greeter::Greeter(std::string word) : word_(std::move(word)) {}

std::string Greeter::greet(std::string name) {
  return word_ + ", " + name + " (" + std::to_string(++count_) + ")";
}

int twice(int number) { return 2 * number; }
