// Calls that compile, and, one at a time when its name is defined, those that must not.
#include <callboard/callboard.hpp>

#include <optional>
#include <string>

class Counter {
 public:
  explicit Counter(int start);
  int add(int n);
  int over(int n);
  double over(double n) const;
  void opt(int a, std::optional<int> b = {});
  void change(int& n);
  int forgotten();
  friend consteval auto describe(callboard::Class<Counter> c) {
    return c.name("Counter")
        .constructor<int>()
        .method<&Counter::add>("add")
        .method<callboard::overload<int(int)>(&Counter::over)>("over")
        .method<&Counter::opt>("opt")
#ifdef TWO_METHODS_OF_ONE_NAME
        .method<callboard::overload<double(double) const>(&Counter::over)>("over")
#endif
#ifdef METHOD_DESCRIBED_TWICE
        .method<&Counter::add>("plus")
#endif
#ifdef PARAMETER_THAT_IS_CHANGED
        .method<&Counter::change>("change")
#endif
#ifdef BATCH_OF_NO_LIST
        .batched<&Counter::forgotten>("forgotten")
#endif
        ;
  }
};

struct Plain {
  int run();
};
struct Unpacked {
  int x = 0;
};
int take(Unpacked value);
Unpacked give();
int resize(std::string image, int width);
inline constexpr callboard::Task<&resize> resize_task{"resize"};
inline constexpr callboard::Task<&take> take_task{"take"};
inline constexpr callboard::Task<&give> give_task{"give"};

void calls(callboard::Client& client) {
  auto hits = client.actor<Counter>({.name = "hits"}, 10);
  callboard::Future<int> total = hits.call<&Counter::add>(1);
  total = hits.call<&Counter::add>(total);
  hits.call<&Counter::opt>(1);
  hits.call<&Counter::opt>(1, 2);
  hits.send<&Counter::add>(1);
  client.call(resize_task, "a.png", 64);
  client.actor<Counter>(1);
#ifdef WRONG_ARGUMENT
  hits.call<&Counter::add>("one");
#endif
#ifdef TOO_FEW_ARGUMENTS
  hits.call<&Counter::add>();
#endif
#ifdef TOO_MANY_ARGUMENTS
  hits.call<&Counter::opt>(1, 2, 3);
#endif
#ifdef WRONG_FUTURE
  callboard::Future<std::string> text;
  hits.call<&Counter::add>(text);
#endif
#ifdef METHOD_NOT_DESCRIBED
  hits.call<&Counter::forgotten>();
#endif
#ifdef WRONG_CONSTRUCTOR
  client.actor<Counter>("ten");
#endif
#ifdef FUTURE_FOR_A_CONSTRUCTOR
  client.actor<Counter>(total);
#endif
#ifdef NO_DESCRIPTION
  callboard::Actor<Plain> plain;
#endif
#ifdef ARGUMENT_WITHOUT_CODEC
  client.call(take_task, Unpacked());
#endif
#ifdef RESULT_WITHOUT_CODEC
  client.call(give_task);
#endif
#ifdef WRONG_RESULT
  callboard::Future<std::string> name = hits.call<&Counter::add>(1);
#endif
}
