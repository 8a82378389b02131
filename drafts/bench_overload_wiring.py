def sub(path, old, new, count=1):
    t=open(path).read()
    assert old in t, (path, old)
    t=t.replace(old,new,count)
    open(path,'w').write(t)
p='include/callboard/error.hpp'
sub(p,'''  std::string causes;   ///< chain of causes, nearest first, one a line; for dependency_failed
''','''  std::string causes;   ///< chain of causes, nearest first, one a line; for dependency_failed
  /// Above 0: the call was refused, and it may help to submit it again so much later.
  std::int64_t retry_after_ms = 0;
''')
sub(p,'''class Refused : public Error {
  using Error::Error;
};  ///< nothing was stored''','''/// Nothing was stored.
class Refused : public Error {
 public:
  using Error::Error;
  /// How long to wait before another try; 0: it will not help.
  std::chrono::milliseconds retry_after() const {
    return std::chrono::milliseconds(info().retry_after_ms);
  }
};''')
p='common/messages_link.cpp'
sub(p,'''    info.str("causes", error.causes);
''','''    info.str("causes", error.causes);
    if (error.retry_after_ms > 0) {
      info.uint("retry_after_ms", static_cast<std::uint64_t>(error.retry_after_ms));
    }
''')
sub(p,'''    if (key == "causes") return r.str(e.causes);
''','''    if (key == "causes") return r.str(e.causes);
    if (key == "retry_after_ms") return r.uint_max(e.retry_after_ms, limits::kDurationMsMax);
''')
p='client/core/answers.cpp'
sub(p,'''  error.place = to.target.name;
  const std::string bytes''','''  error.place = to.target.name;
  error.retry_after_ms = static_cast<std::int64_t>(
      std::min<std::uint64_t>(message.retry_after_ms, limits::kDurationMsMax));
  const std::string bytes''')
p='broker/core/submit.cpp'
sub(p,'''           code == Errc::store_unavailable || code == Errc::store_full ? limits::kRetryAfterMs : 0);''','''           time_may_cure(code) ? limits::kRetryAfterMs : 0);''')
sub(p,'''bool Core::number_is_new(''','''namespace {

bool time_may_cure(Errc code) {
  return code == Errc::store_unavailable || code == Errc::store_full || code == Errc::queue_full ||
         code == Errc::refused_before;
}

}  // namespace

bool Core::number_is_new(''')
# bench
p='cli/echo.hpp'
sub(p,'''// The class that every `callboard worker` offers beside what it loads: it gives back what it gets.''','''// The class that every `callboard worker` offers beside what it loads: it gives back what it gets,
// after a while if that is asked for.''')
sub(p,'''  Bytes echo(Bytes value) { return value; }
''','''  Bytes echo(Bytes value) { return value; }
  Bytes work(Bytes value, std::int64_t us) {
    std::this_thread::sleep_for(std::chrono::microseconds(us));
    return value;
  }
''')
sub(p,'''.method<&Echo::echo>("echo");''','''.method<&Echo::echo>("echo").method<&Echo::work>("work");''')
sub(p,'''#include <callboard/value.hpp>
''','''#include <callboard/value.hpp>

#include <chrono>
#include <cstdint>
#include <thread>
''')
p='cli/bench.hpp'
sub(p,'''  int workers = 1;         ///< of the private system
''','''  int workers = 1;         ///< of the private system
  // overload only
  std::uint64_t clients = 2;
  std::int64_t work_us = 0;  ///< time that each call takes in its actor
  std::int64_t seconds = 10;
  std::int64_t times = 3;  ///< what can be done, that is asked
''')
p='cli/bench_run.hpp'
sub(p,'''/// Measures how fast the broker accepts calls whose results nobody wants.
Json measure_submit(const Context& context, Connection& broker, const BenchOptions& options);
''','''/// Measures how fast the broker accepts calls whose results nobody wants.
Json measure_submit(const Context& context, Connection& broker, const BenchOptions& options);

/// Measures the peak, and then what is left of it when several times as much is asked.
Json measure_overload(const Context& context, Connection& broker, const BenchOptions& options);
''')
p='cli/bench.cpp'
sub(p,'''// callboard bench roundtrip|submit|relay''','''// callboard bench roundtrip|submit|overload|relay''')
sub(p,'''void add_load_options(Command& command, BenchOptions& options) {
  command.number("--calls", options.calls, "Calls that are measured [100000]", 1, 1'000'000'000)
      .number("--window"''','''void add_load_options(Command& command, BenchOptions& options) {
  command
      .number("--window"''')
sub(p,'''  if (context.format() == Format::json) return print_line(print_json(figures));
''','''  if (context.format() == Format::json) return print_line(print_json(figures));
  if (figures.value("bench", "") == "overload") return context.show(figures);
''')
t=open(p).read()
i=t.index('void add_measure(const Command& bench'); j=t.index('}  // namespace\n\nvoid add_bench')
t=t[:i]+'''void add_calls_option(Command& command, BenchOptions& options) {
  command.number("--calls", options.calls, "Calls that are measured [100000]", 1, 1'000'000'000);
}

Command add_measure(const Command& bench, const std::string& name, const std::string& help,
                    const std::shared_ptr<BenchOptions>& options, const Measure& measure) {
  Command command = bench.sub(name, help);
  add_load_options(command, *options);
  command.number("--actors", options->actors, "Actors that the calls go to [1]", 1, 100'000)
      .choice("--durability", options->durability, {"durable", "memory"}, "Of the calls [durable]")
      .flag("--embedded", options->embedded, "Against a private system, started for this")
      .number("--workers", options->workers, "Worker processes of the private system [1]", 1, 256);
  const Context& context = command.context();
  command.run([&context, options, measure] { return run_measure(context, *options, measure); });
  return command;
}

void add_overload(const Command& bench) {
  const auto options = std::make_shared<BenchOptions>();
  options->with_relay = false;
  Command command = add_measure(bench, "overload", "What is left of the peak under far more load",
                                options, measure_overload);
  command.number("--clients", options->clients, "Connections that submit [2]", 1, 100)
      .number("--work-us", options->work_us, "Time that each call takes [0]", 0, 1'000'000)
      .number("--seconds", options->seconds, "Of each of the two phases [10]", 1, 3600)
      .number("--times", options->times, "Calls that are asked for, in peaks [3]", 1, 100);
}

'''+t[j:]
i=t.index('  add_measure(bench, "roundtrip"'); j=t.index('  const auto options = std::make_shared<BenchOptions>();\n  Command relay')
t=t[:i]+'''  const auto roundtrip = std::make_shared<BenchOptions>();
  Command timed = add_measure(bench, "roundtrip", "From submit to result, beside a raw relay",
                              roundtrip, measure_roundtrip);
  add_calls_option(timed, *roundtrip);
  const auto submit = std::make_shared<BenchOptions>();
  submit->with_relay = false;
  Command accepted = add_measure(bench, "submit", "How fast calls without a result are accepted",
                                 submit, measure_submit);
  add_calls_option(accepted, *submit);
  add_overload(bench);
'''+t[j:]
t=t.replace('''  add_load_options(relay, *options);
''','''  add_load_options(relay, *options);
  add_calls_option(relay, *options);
''')
open(p,'w').write(t)
