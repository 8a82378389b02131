#include <callboard/actor.hpp>

#include "client/client_core.hpp"
#include "client/raise.hpp"

#include <utility>

namespace callboard::detail {

namespace {

constexpr std::int8_t kHandleType = 1;  ///< extension type of a handle within a value

client::Queue& checked(const QueuePtr& queue) {
  if (!queue) client::raise(Errc::invalid_option, "a handle of no actor");
  return *queue;
}

}  // namespace

std::string& scratch() {
  thread_local std::string bytes;
  bytes.clear();
  return bytes;
}

OptionsPtr prepare(const CallOptions& options) {
  return std::make_shared<const client::PreparedOptions>(client::prepare_options(options));
}

std::uint32_t method_number(const QueuePtr& queue, std::string_view method) {
  return checked(queue).method_number(method);
}

StatePtr submit(const QueuePtr& queue, std::uint32_t method, const OptionsPtr& options,
                std::string& args) {
  client::Queue& to = checked(queue);
  return to.core().submit(to, method, options.get(), args, true);
}

StatePtr submit(const QueuePtr& queue, std::uint32_t method, const OptionsPtr& options,
                std::vector<Piece> args) {
  client::Queue& to = checked(queue);
  return to.core().submit(to, method, options.get(), std::move(args), true);
}

void send(const QueuePtr& queue, std::uint32_t method, const OptionsPtr& options,
          std::string& args) {
  client::Queue& to = checked(queue);
  to.core().submit(to, method, options.get(), args, false);
}

void send(const QueuePtr& queue, std::uint32_t method, const OptionsPtr& options,
          std::vector<Piece> args) {
  client::Queue& to = checked(queue);
  to.core().submit(to, method, options.get(), std::move(args), false);
}

StatePtr submit(const QueuePtr& queue, std::uint32_t method, const OptionsPtr& options,
                const LentList& args) {
  client::Queue& to = checked(queue);
  return to.core().submit(to, method, options.get(), args, true);
}

void send(const QueuePtr& queue, std::uint32_t method, const OptionsPtr& options,
          const LentList& args) {
  client::Queue& to = checked(queue);
  to.core().submit(to, method, options.get(), args, false);
}

Future<void> opened(const QueuePtr& queue) { return Future<void>(checked(queue).opened()); }

Future<void> kill(const QueuePtr& queue, bool restart) {
  client::Queue& to = checked(queue);
  return Future<void>(to.core().kill(to, restart));
}

ActorId actor_id(const QueuePtr& queue) { return checked(queue).id(); }

std::string queue_name(const QueuePtr& queue) { return checked(queue).name(); }

std::string class_name(const QueuePtr& queue) { return checked(queue).class_name(); }

void encode_handle(wire::Writer& out, const QueuePtr& queue) {
  const client::Queue& of = checked(queue);
  // A name leads there too; only an actor without one needs its id, which comes in a moment.
  ActorId id = of.id_now();
  const std::string name = of.name();
  if (!id && name.empty()) id = actor_id(queue);
  std::string bytes;
  wire::Writer inner(bytes);
  inner.array(4);
  inner.uint(value_of(id.session));
  inner.uint(id.seq);
  inner.str(of.class_name());
  inner.str(name);
  out.ext(kHandleType, bytes);
}

bool decode_handle(Decoder& in, std::string_view class_name, std::vector<std::string> methods,
                   QueuePtr& queue) {
  const std::string expected =
      class_name.empty() ? "actor" : "actor<" + std::string(class_name) + ">";
  std::int8_t type = 0;
  std::string_view bytes;
  if (in.peek() != wire::Kind::ext) return in.wrong(expected);
  if (!in.reader().ext(type, bytes) || type != kHandleType) return in.wrong(expected);
  wire::Reader inner(bytes);
  std::uint32_t n = 0;
  std::uint64_t session = 0;
  ActorId id;
  std::string_view of_class;
  std::string_view name;
  if (!inner.array(n) || n != 4 || !inner.uint(session) || !inner.uint(id.seq) ||
      !inner.str(of_class) || !inner.str(name)) {
    return in.fail("expected " + expected + ", got a handle that cannot be read");
  }
  id.session = SessionId{session};
  if (!class_name.empty() && !of_class.empty() && of_class != class_name) {
    return in.fail("expected " + expected + ", got actor<" + std::string(of_class) + ">");
  }
  if (!id && name.empty()) return in.fail("expected " + expected + ", got a handle of nothing");
  if (in.core() == nullptr) return in.fail("an actor handle can be read only within a client");
  queue = in.core()->adopt(id, name, of_class, std::move(methods));
  return true;
}

}  // namespace callboard::detail
