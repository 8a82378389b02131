// The registry: what a description becomes, and what calls through it do with good and bad input.

#include <callboard/registry.hpp>

#include "common/limits.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace callboard::worker {

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Base {
  int inherited() const { return 1; }
  virtual ~Base() = default;
  virtual std::string name() { return "base"; }
};

class Shelf : public Base {
 public:
  Shelf(std::string label, std::optional<int> size) : label_(std::move(label)) {
    size_ = size.value_or(10);
  }
  std::string name() override { return "shelf"; }
  const std::string& label() const noexcept { return label_; }
  int at(int i) { return i; }
  double at(double d) const { return d; }
  int size(std::optional<int> add) { return size_ + add.value_or(0); }
  void take(std::string&& text, const std::vector<int>& numbers) {
    label_ = std::move(text) + std::to_string(numbers.size());
  }
  std::vector<int> all(std::vector<int> numbers) { return numbers; }

 private:
  int secret() { return 42; }

  friend consteval auto describe(Class<Shelf> c) {
    return c.name("Shelf").constructor<std::string, std::optional<int>>()
        .method<&Shelf::inherited>("inherited").method<&Shelf::name>("name")
        .method<&Shelf::label>("label")
        .method<overload<int(int)>(&Shelf::at)>("at_int")
        .method<overload<double(double) const>(&Shelf::at)>("at_float")
        .method<&Shelf::size>("size", {.group = "quick"}).method<&Shelf::take>("take")
        .batched<&Shelf::all>("all").method<&Shelf::secret>("secret");
  }

  std::string label_;
  int size_ = 0;
};

struct Impostor {
  friend consteval auto describe(Class<Impostor> c) { return c.name("Shelf"); }
};
struct Nameless {
  friend consteval auto describe(Class<Nameless> c) { return c; }
};
template <class T>
struct Box {
  T get(T value) { return value; }
  friend consteval auto describe(Class<Box> c) {
    return c.name("Box").template method<&Box::get>("get");
  }
};

int resize(std::string image, int width) { return static_cast<int>(image.size()) + width; }
inline constexpr Task<&resize> resize_task{"resize"};
int shrink(std::string, int) { return 0; }
inline constexpr Task<&shrink> shrink_task{"resize"};
inline constexpr std::string_view kLong =
    "a name that is so long that nobody would want to read it in a log, and so long that a limit "
    "is needed, because names travel with every worker's hello and stand in keys, where two "
    "hundred bytes are more than enough";
inline constexpr Task<&resize> long_task{kLong};

/// Where the argument of the last call of `look` lay.
const char* text_place = nullptr;
std::size_t look(const std::string& text) {
  text_place = text.data();
  return text.size();
}
inline constexpr Task<&look> look_task{"look"};
std::string answer(std::string text) {
  text_place = text.data();
  return text;
}
inline constexpr Task<&answer> answer_task{"answer"};

template <class... A>
std::string list(const A&... args) {
  std::string bytes;
  wire::Writer out(bytes);
  out.array(sizeof...(A));
  (Codec<A>::encode(out, args), ...);
  return bytes;
}

class RegistryTest : public ::testing::Test {
 protected:
  RegistryTest() { registry_.add<Shelf>().add<resize_task>(); }
  ~RegistryTest() override {
    if (object_ != nullptr) shelf().destroy(object_);
  }

  const ClassEntry& shelf() { return *registry_.find("Shelf"); }
  void* object() {
    if (object_ == nullptr) {
      const std::string args = list(std::string("top"));
      Invocation call;
      call.args = args;
      object_ = shelf().construct(call);
    }
    return object_;
  }
  /// Calls a plain method; what it gives is in the invocation.
  Invocation run(const std::string& method, std::string args) {
    args_ = std::move(args);
    Invocation call;
    call.args = args_;
    shelf().find(method)->plain(object(), call);
    return call;
  }
  template <class T>
  static T value(const Invocation& call) {
    EXPECT_FALSE(call.error) << call.error->message;
    T result{};
    std::string problem;
    EXPECT_TRUE(decode(call.result, result, problem)) << problem;
    return result;
  }
  static std::string problem(const Invocation& call) {
    if (!call.error) return "no error";
    EXPECT_EQ(call.error->code, Errc::bad_arguments);
    return call.error->message;
  }

  Registry registry_;
  void* object_ = nullptr;
  std::string args_;
};

/// Calls a task with one text after the other, in one invocation.
const char* place_of_text(const Method& task, Invocation& call, std::size_t bytes) {
  const std::string args = list(std::string(bytes, 'x'));
  call.args = args;
  call.result.clear();
  task.plain(nullptr, call);
  return text_place;
}

TEST_F(RegistryTest, BufferOfAnArgumentOrResultIsUsedByTheNextArgument) {
  registry_.add<look_task>().add<answer_task>();
  for (const char* name : {"look", "answer"}) {
    const Method& task = *registry_.tasks().find(name);
    Invocation call;
    const char* const place = place_of_text(task, call, 500);
    EXPECT_EQ(place_of_text(task, call, 400), place) << name;
    EXPECT_EQ(place_of_text(task, call, 500), place) << name;
  }
}

TEST_F(RegistryTest, NoArgumentGetsABufferOfWhichMostWouldBeWasted) {
  registry_.add<look_task>();
  const Method& task = *registry_.tasks().find("look");
  Invocation call;
  const char* const place = place_of_text(task, call, 500);
  EXPECT_NE(place_of_text(task, call, 100), place);
  place_of_text(task, call, 5000);
  EXPECT_LT(call.spare.capacity(), 5000u);
}

TEST_F(RegistryTest, DescriptionBecomesNamesSignaturesAndGroups) {
  EXPECT_EQ(shelf().constructor_signature, "nil(str, optional<int>)");
  std::vector<std::string> methods;
  for (const Method& method : shelf().methods) {
    methods.push_back(method.name + " " + method.signature);
  }
  EXPECT_THAT(methods,
              ElementsAre("inherited int()", "name str()", "label str()", "at_int int(int)",
                          "at_float float(float)", "size int(optional<int>)",
                          "take nil(str, list<int>)", "all int(int)", "secret int()"));
  EXPECT_EQ(shelf().find("size")->group, "quick");
  EXPECT_EQ(shelf().find("size")->place, "Shelf.size");
  EXPECT_EQ(shelf().find("all")->kind, MethodKind::batched);
  EXPECT_TRUE(shelf().has(MethodKind::batched));
  EXPECT_FALSE(shelf().has(MethodKind::coroutine));
  EXPECT_EQ(shelf().find("nothing"), nullptr);
  EXPECT_EQ(registry_.find("Table"), nullptr);
}

TEST_F(RegistryTest, EveryKindOfMethodCanBeCalled) {
  EXPECT_EQ(value<int>(run("inherited", list())), 1);
  EXPECT_EQ(value<std::string>(run("name", list())), "shelf") << "the overriding one";
  EXPECT_EQ(value<std::string>(run("label", list())), "top");
  EXPECT_EQ(value<int>(run("at_int", list(3))), 3);
  EXPECT_EQ(value<double>(run("at_float", list(2.5))), 2.5);
  EXPECT_EQ(value<int>(run("secret", list())), 42);
  EXPECT_EQ(value<Unit>(run("take", list(std::string("x"), std::vector<int>{1, 2}))), Unit{});
  EXPECT_EQ(value<std::string>(run("label", list())), "x2");
}

TEST_F(RegistryTest, OptionalArgumentsAtTheEndMayBeLeftOut) {
  EXPECT_EQ(value<int>(run("size", list())), 10);
  EXPECT_EQ(value<int>(run("size", list(5))), 15);
  EXPECT_EQ(value<int>(run("size", list(Unit{}))), 10);
}

TEST_F(RegistryTest, WrongArgumentsNameTheirPositionAndBothTypes) {
  EXPECT_THAT(problem(run("at_int", list(std::string("one")))),
              HasSubstr("argument 1: expected int, got str"));
  EXPECT_THAT(problem(run("take", list(std::string("x"), 5))), HasSubstr("argument 2"));
  EXPECT_THAT(problem(run("take", list(std::string("x"), std::vector<std::string>{"y"}))),
              HasSubstr("element 0"));
  EXPECT_THAT(problem(run("at_int", list())), HasSubstr("takes 1 argument, got 0"));
  EXPECT_THAT(problem(run("at_int", list(1, 2))), HasSubstr("takes 1 argument, got 2"));
  EXPECT_THAT(problem(run("at_int", list(std::int64_t{1} << 40))), HasSubstr("argument 1"));
}

TEST_F(RegistryTest, GarbageForArgumentsIsAnErrorAndNeverACrash) {
  const std::string good = list(std::string("text"), std::vector<int>{1, 2, 3});
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_NE(problem(run("take", good.substr(0, length))), "no error") << length;
  }
  EXPECT_NE(problem(run("take", std::string(100, '\xff'))), "no error");
  EXPECT_NE(problem(run("take", std::string(1000, '\x91'))), "no error");
  EXPECT_NE(problem(run("take", good + "more")), "no error");
}

TEST_F(RegistryTest, ConstructorRefusesWrongArgumentsAndLetsExceptionsOut) {
  const std::string args = list(5);
  Invocation call;
  call.args = args;
  EXPECT_EQ(shelf().construct(call), nullptr);
  EXPECT_THAT(problem(call), HasSubstr("argument 1: expected str, got int"));
}

TEST_F(RegistryTest, BatchSeparatesGoodFromBadCalls) {
  const std::vector<std::string> args{list(1), list(std::string("two")), list(3)};
  std::vector<Invocation> calls(3);
  for (std::size_t i = 0; i < 3; ++i) calls[i].args = args[i];
  shelf().find("all")->batched(object(), calls);
  EXPECT_EQ(value<int>(calls[0]), 1);
  EXPECT_NE(problem(calls[1]), "no error");
  EXPECT_EQ(value<int>(calls[2]), 3);
}

TEST_F(RegistryTest, TasksAreMethodsWithoutAnObject) {
  const Method* task = registry_.tasks().find("resize");
  ASSERT_NE(task, nullptr);
  EXPECT_EQ(task->signature, "int(str, int)");
  const std::string args = list(std::string("abc"), 4);
  Invocation call;
  call.args = args;
  task->plain(nullptr, call);
  EXPECT_EQ(value<int>(call), 7);
}

TEST_F(RegistryTest, TemplatesCanBeRegisteredInOneForm) {
  registry_.add<Box<int>>();
  EXPECT_EQ(registry_.find("Box")->find("get")->signature, "int(int)");
}

template <class Add>
Errc refusal(Add add) {
  try {
    add();
  } catch (const Error& e) {
    return e.code();
  }
  return Errc::ok;
}

TEST_F(RegistryTest, TwoOfOneNameAreRefusedAndTheSameTwiceIsNot) {
  EXPECT_EQ(refusal([&] { registry_.add<Shelf>().add<resize_task>(); }), Errc::ok);
  EXPECT_EQ(registry_.classes().size(), 1u);
  EXPECT_EQ(registry_.tasks().methods.size(), 1u);
  EXPECT_EQ(refusal([&] { registry_.add<Impostor>(); }), Errc::name_taken);
  EXPECT_EQ(refusal([&] { registry_.add<Box<int>>().add<Box<double>>(); }), Errc::name_taken);
  EXPECT_EQ(refusal([&] { registry_.add<shrink_task>(); }), Errc::name_taken);
}

TEST_F(RegistryTest, NamesThatAreEmptyOrTooLongAreRefused) {
  static_assert(kLong.size() > limits::kNameBytesMax);
  EXPECT_EQ(refusal([&] { registry_.add<Nameless>(); }), Errc::invalid_option);
  EXPECT_EQ(refusal([&] { registry_.add<long_task>(); }), Errc::too_large);
}

TEST_F(RegistryTest, EntriesStayWhereTheyAreWhenMoreIsAdded) {
  const ClassEntry* entry = registry_.find("Shelf");
  registry_.add<Box<int>>();
  Registry moved = std::move(registry_);
  EXPECT_EQ(moved.find("Shelf"), entry);
  registry_ = std::move(moved);
}

}  // namespace

}  // namespace callboard::worker
