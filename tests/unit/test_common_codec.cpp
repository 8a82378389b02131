// The codec against msgpack-c, both ways, and against input that lies.

#include <callboard/codec.hpp>

#include <gtest/gtest.h>
#include <msgpack.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::wire {
namespace {

const std::vector<std::size_t> kLengths = {0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536};

std::vector<std::int64_t> edge_integers() {
  std::vector<std::int64_t> values = {0, -1, INT64_MIN, INT64_MAX};
  for (const int bits : {5, 7, 8, 15, 16, 31, 32, 62}) {
    for (const std::int64_t delta : {-1, 0, 1}) {
      values.push_back((std::int64_t{1} << bits) + delta);
      values.push_back(-(std::int64_t{1} << bits) + delta);
    }
  }
  return values;
}

template <class Write>
std::string written(Write write) {
  std::string bytes;
  Writer out(bytes);
  write(out);
  return bytes;
}

template <class Pack>
std::string packed(Pack pack) {
  msgpack::sbuffer buffer;
  msgpack::packer<msgpack::sbuffer> packer(buffer);
  pack(packer);
  return {buffer.data(), buffer.size()};
}

TEST(Codec, IntegersAreWrittenAsMsgpackWritesThem) {
  for (const std::int64_t value : edge_integers()) {
    const std::string ours = written([&](Writer& out) { out.integer(value); });
    EXPECT_EQ(ours, packed([&](auto& packer) { packer.pack(value); })) << value;
    Reader in(ours);
    std::int64_t read = 0;
    EXPECT_TRUE(in.integer(read));
    EXPECT_EQ(read, value);
    EXPECT_TRUE(in.at_end());
  }
}

TEST(Codec, UnsignedNumbersReachTheirUpperEnd) {
  for (const std::uint64_t value : {UINT64_MAX, UINT64_MAX - 1, std::uint64_t{1} << 63}) {
    const std::string ours = written([&](Writer& out) { out.uint(value); });
    EXPECT_EQ(ours, packed([&](auto& packer) { packer.pack(value); }));
    Reader in(ours);
    std::uint64_t read = 0;
    EXPECT_TRUE(in.uint(read));
    EXPECT_EQ(read, value);
    Reader as_signed(ours);
    std::int64_t narrow = 0;
    EXPECT_FALSE(as_signed.integer(narrow)) << "it does not fit";
  }
}

TEST(Codec, NumbersInALongerFormThanNeededAreRead) {
  const std::string forms[] = {{"\x05", 1},
                               {"\xcc\x05", 2},
                               {"\xcd\x00\x05", 3},
                               {"\xce\x00\x00\x00\x05", 5},
                               {"\xcf\x00\x00\x00\x00\x00\x00\x00\x05", 9},
                               {"\xd0\x05", 2},
                               {"\xd1\x00\x05", 3},
                               {"\xd2\x00\x00\x00\x05", 5},
                               {"\xd3\x00\x00\x00\x00\x00\x00\x00\x05", 9}};
  for (const std::string& bytes : forms) {
    std::uint64_t as_unsigned = 0;
    std::int64_t as_signed = 0;
    EXPECT_TRUE(Reader(bytes).uint(as_unsigned));
    EXPECT_TRUE(Reader(bytes).integer(as_signed));
    EXPECT_EQ(as_unsigned, 5u);
    EXPECT_EQ(as_signed, 5);
  }
}

TEST(Codec, NegativeNumbersAreNotUnsignedOnes) {
  for (const std::int64_t value : {std::int64_t{-1}, std::int64_t{-33}, INT64_MIN}) {
    const std::string bytes = written([&](Writer& out) { out.integer(value); });
    Reader in(bytes);
    std::uint64_t read = 0;
    EXPECT_FALSE(in.uint(read));
    EXPECT_FALSE(in.ok());
  }
}

TEST(Codec, NumbersBeyondTheAskedBoundAreRefused) {
  const std::string bytes = written([](Writer& out) { out.uint(256); });
  std::uint16_t read = 0;
  EXPECT_TRUE(Reader(bytes).uint_max(read, 256));
  EXPECT_EQ(read, 256);
  EXPECT_FALSE(Reader(bytes).uint_max(read, 255));
}

TEST(Codec, FloatsAgreeWithMsgpack) {
  for (const double value : {0.0, -0.0, 1.5, -1e300, std::numeric_limits<double>::infinity(),
                             std::numeric_limits<double>::denorm_min()}) {
    const std::string ours = written([&](Writer& out) { out.f64(value); });
    EXPECT_EQ(msgpack::unpack(ours.data(), ours.size()).get().as<double>(), value);
    // msgpack-c writes a float that is a whole number as an integer: a reader must take both.
    const std::string theirs = packed([&](auto& packer) { packer.pack_double(value); });
    double from_theirs = 1;
    EXPECT_TRUE(Reader(theirs).f64(from_theirs));
    EXPECT_EQ(from_theirs, value);
    double read = 1;
    EXPECT_TRUE(Reader(ours).f64(read));
    EXPECT_EQ(std::bit_cast<std::uint64_t>(read), std::bit_cast<std::uint64_t>(value));
  }
  const std::string narrow = written([](Writer& out) { out.f32(0.1f); });
  EXPECT_EQ(narrow, packed([](auto& packer) { packer.pack_float(0.1f); }));
  double read = 0;
  EXPECT_TRUE(Reader(narrow).f64(read));
  EXPECT_EQ(static_cast<float>(read), 0.1f);
  const std::string nan = written([](Writer& out) { out.f64(std::nan("")); });
  EXPECT_TRUE(Reader(nan).f64(read));
  EXPECT_TRUE(std::isnan(read));
}

TEST(Codec, IntegersAreReadAsFloatsWhereAFloatIsWanted) {
  double read = 0;
  EXPECT_TRUE(Reader(written([](Writer& out) { out.integer(-7); })).f64(read));
  EXPECT_EQ(read, -7.0);
  EXPECT_TRUE(Reader(written([](Writer& out) { out.uint(UINT64_MAX); })).f64(read));
  EXPECT_EQ(read, 18446744073709551616.0);
}

TEST(Codec, StringsAndBytesOfEveryLengthClassAgreeWithMsgpack) {
  for (const std::size_t length : kLengths) {
    const std::string value(length, 'x');
    const auto n = static_cast<std::uint32_t>(length);
    const std::string str = written([&](Writer& out) { out.str(value); });
    EXPECT_EQ(str, packed([&](auto& p) { p.pack_str(n).pack_str_body(value.data(), n); }));
    const std::string bin = written([&](Writer& out) { out.bin(value); });
    EXPECT_EQ(bin, packed([&](auto& p) { p.pack_bin(n).pack_bin_body(value.data(), n); }));
    std::string_view read;
    EXPECT_TRUE(Reader(str).str(read));
    EXPECT_EQ(read, value);
    EXPECT_TRUE(Reader(bin).bin(read));
    EXPECT_EQ(read, value);
    EXPECT_FALSE(Reader(str).bin(read)) << "text is not bytes";
    EXPECT_FALSE(Reader(bin).str(read)) << "bytes are not text";
  }
}

TEST(Codec, ExtensionsOfEveryLengthClassAreReadByEachOther) {
  for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{3},
                                   std::size_t{4}, std::size_t{8}, std::size_t{16},
                                   std::size_t{255}, std::size_t{256}, std::size_t{65536}}) {
    const std::string value(length, 'e');
    const std::string ours = written([&](Writer& out) { out.ext(-5, value); });
    const msgpack::object_handle handle = msgpack::unpack(ours.data(), ours.size());
    ASSERT_EQ(handle.get().type, msgpack::type::EXT);
    EXPECT_EQ(handle.get().via.ext.type(), -5);
    EXPECT_EQ(std::string(handle.get().via.ext.data(), handle.get().via.ext.size), value);

    const std::string theirs =
        packed([&](auto& p) { p.pack_ext(length, -5).pack_ext_body(value.data(), length); });
    for (const std::string& bytes : {ours, theirs}) {
      Reader in(bytes);
      std::int8_t type = 0;
      std::string_view read;
      EXPECT_TRUE(in.ext(type, read));
      EXPECT_EQ(type, -5);
      EXPECT_EQ(read, value);
      EXPECT_TRUE(in.at_end());
    }
  }
}

TEST(Codec, ContainersOfEveryLengthClassAgreeWithMsgpack) {
  for (const std::size_t length : kLengths) {
    const auto n = static_cast<std::uint32_t>(length);
    const auto nils = [&](Writer& out) {
      for (std::size_t i = 0; i < length; ++i) out.nil();
    };
    const std::string array = written([&](Writer& out) { out.array(length), nils(out); });
    EXPECT_EQ(array.substr(0, array.size() - length), packed([&](auto& p) { p.pack_array(n); }));
    const std::string map = written([&](Writer& out) { out.map(length), nils(out), nils(out); });
    EXPECT_EQ(map.substr(0, map.size() - 2 * length), packed([&](auto& p) { p.pack_map(n); }));
    std::uint32_t read = 1;
    EXPECT_TRUE(Reader(array).array(read));
    EXPECT_EQ(read, n);
    EXPECT_TRUE(Reader(map).map(read));
    EXPECT_EQ(read, n);
    for (const std::string& bytes : {array, map}) {
      Reader in(bytes);
      EXPECT_TRUE(in.skip());
      EXPECT_TRUE(in.at_end());
    }
  }
}

// A random value, at most `depth` deep.
template <class Packer>
void pack_random(std::mt19937_64& random, Packer& packer, int depth) {
  const std::uint64_t bits = random();
  const std::size_t small = random() % 40;
  const std::string text(small, static_cast<char>('a' + small % 26));
  const auto n = static_cast<std::uint32_t>(text.size());
  switch (random() % (depth > 0 ? 10 : 8)) {
    case 0: packer.pack_nil(); break;
    case 1: (bits & 1) != 0 ? packer.pack_true() : packer.pack_false(); break;
    case 2: packer.pack(static_cast<std::int64_t>(bits) >> (random() % 64)); break;
    case 3: packer.pack(bits >> (random() % 64)); break;
    case 4: packer.pack_double(static_cast<double>(bits) / 3); break;
    case 5: packer.pack_str(n).pack_str_body(text.data(), n); break;
    case 6: packer.pack_bin(n).pack_bin_body(text.data(), n); break;
    case 7: packer.pack_ext(n, 3).pack_ext_body(text.data(), n); break;
    case 8:
      packer.pack_array(n);
      for (std::uint32_t i = 0; i < n; ++i) pack_random(random, packer, depth - 1);
      break;
    default:
      packer.pack_map(n);
      for (std::uint32_t i = 0; i < 2 * n; ++i) pack_random(random, packer, depth - 1);
      break;
  }
}

// Reads one value with Reader and writes it with Writer.
bool copy_value(Reader& in, Writer& out) {
  bool flag = false;
  double real = 0;
  std::int64_t number = 0;
  std::uint64_t large = 0;
  std::uint32_t n = 0;
  std::int8_t type = 0;
  std::string_view bytes;
  switch (in.peek()) {
    case Kind::none: return false;
    case Kind::nil: return in.nil() && (out.nil(), true);
    case Kind::boolean: return in.boolean(flag) && (out.boolean(flag), true);
    case Kind::floating: return in.f64(real) && (out.f64(real), true);
    case Kind::str: return in.str(bytes) && (out.str(bytes), true);
    case Kind::bin: return in.bin(bytes) && (out.bin(bytes), true);
    case Kind::ext: return in.ext(type, bytes) && (out.ext(type, bytes), true);
    case Kind::integer: {
      Reader wide = in;
      if (wide.uint(large)) return out.uint(large), in = wide, true;
      return in.integer(number) && (out.integer(number), true);
    }
    case Kind::array:
      if (!in.array(n)) return false;
      out.array(n);
      break;
    case Kind::map:
      if (!in.map(n)) return false;
      out.map(n);
      n *= 2;
      break;
  }
  for (; n > 0; --n) {
    if (!copy_value(in, out)) return false;
  }
  return true;
}

TEST(Codec, RandomValuesSurviveReadingAndWritingAgain) {
  std::mt19937_64 random(42);
  for (int round = 0; round < 300; ++round) {
    const std::string theirs = packed([&](auto& packer) { pack_random(random, packer, 3); });
    Reader skipping(theirs);
    EXPECT_TRUE(skipping.skip());
    EXPECT_TRUE(skipping.at_end());

    Reader in(theirs);
    std::string ours;
    Writer out(ours);
    ASSERT_TRUE(copy_value(in, out));
    EXPECT_TRUE(in.at_end());
    const msgpack::object_handle before = msgpack::unpack(theirs.data(), theirs.size());
    const msgpack::object_handle after = msgpack::unpack(ours.data(), ours.size());
    EXPECT_TRUE(before.get() == after.get()) << before.get();
  }
}

// What msgpack-c says of bytes: how many make one value, 0 when none do. Its parser, with a visitor
// that keeps nothing, since unpack() reserves memory for whatever count the input claims.
std::size_t length_by_msgpack(const std::string& bytes) {
  msgpack::null_visitor visitor;
  std::size_t used = 0;
  return msgpack::parse(bytes.data(), bytes.size(), used, visitor) ? used : 0;
}

TEST(Codec, RandomBytesNeverReadPastTheEndAndAgreeWithMsgpackOnWhatIsAValue) {
  std::mt19937_64 random(7);
  int good = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(1 + random() % 24, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    Reader in(bytes);
    std::string_view value;
    const std::size_t ours = in.raw(value) ? value.size() : 0;
    EXPECT_EQ(ours, length_by_msgpack(bytes)) << testing::PrintToString(bytes);
    good += ours > 0 ? 1 : 0;
  }
  EXPECT_GT(good, 1000) << "too few of the inputs were values to prove anything";
}

TEST(Codec, EveryPrefixOfAValueFails) {
  std::mt19937_64 random(11);
  const std::string bytes = packed([&](auto& packer) {
    packer.pack_array(8);
    for (int i = 0; i < 8; ++i) pack_random(random, packer, 1);
  });
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    Reader in(std::string_view(bytes).substr(0, length));
    EXPECT_FALSE(in.skip()) << length;
    EXPECT_FALSE(in.ok());
  }
}

TEST(Codec, NestingIsAllowedToItsBoundAndNoDeeper) {
  for (const char container : {'\x91', '\x81'}) {
    const auto nested = [&](int depth) {
      std::string bytes;
      for (int i = 0; i < depth; ++i) {
        bytes += container;
        if (container == '\x81') bytes += '\x01';  // a key
      }
      return bytes + '\xc0';
    };
    EXPECT_TRUE(Reader(nested(kDepthMax)).skip());
    EXPECT_FALSE(Reader(nested(kDepthMax + 1)).skip());
    EXPECT_FALSE(Reader(nested(1'000'000)).skip());
    EXPECT_FALSE(Reader(std::string(1'000'000, container)).skip());
  }
}

TEST(Codec, ClaimedLengthsBeyondTheInputAreLies) {
  for (const std::string_view head : {"\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff",
                                      "\xc6\xff\xff\xff\xff", "\xdb\xff\xff\xff\xff"}) {
    const std::string bytes = std::string(head) + std::string(1000, '\x01');
    std::uint32_t n = 0;
    std::string_view view;
    EXPECT_FALSE(Reader(bytes).skip());
    EXPECT_FALSE(Reader(bytes).array(n) || Reader(bytes).map(n));
    EXPECT_FALSE(Reader(bytes).bin(view) || Reader(bytes).str(view));
    EXPECT_EQ(n, 0u);
  }
}

TEST(Codec, TheReservedByteIsNoValue) {
  Reader in(std::string_view("\xc1\xc0", 2));
  EXPECT_EQ(in.peek(), Kind::none);
  EXPECT_FALSE(in.skip());
}

TEST(Codec, AFailureSticksToTheReader) {
  const std::string bytes = written([](Writer& out) { out.str("text"), out.uint(1); });
  Reader in(bytes);
  std::uint64_t number = 0;
  EXPECT_FALSE(in.uint(number));
  EXPECT_FALSE(in.ok());
  EXPECT_FALSE(in.skip());
  EXPECT_EQ(in.peek(), Kind::none);
  EXPECT_TRUE(in.rest().empty());
}

TEST(Codec, TryingForNilConsumesNothingElse) {
  const std::string bytes = written([](Writer& out) { out.nil(), out.uint(9); });
  Reader in(bytes);
  std::uint64_t number = 0;
  EXPECT_TRUE(in.try_nil());
  EXPECT_FALSE(in.try_nil());
  EXPECT_TRUE(in.uint(number));
  EXPECT_EQ(number, 9u);
}

TEST(Codec, RawGivesTheBytesOfExactlyOneValue) {
  const std::string first = written([](Writer& out) { out.array(2), out.str("a"), out.f64(2); });
  const std::string bytes = first + written([](Writer& out) { out.uint(300); });
  Reader in(bytes);
  std::string_view value;
  EXPECT_TRUE(in.raw(value));
  EXPECT_EQ(value, first);
  EXPECT_TRUE(in.raw(value));
  EXPECT_EQ(value, "\xcd\x01\x2c");
  EXPECT_FALSE(in.raw(value));
}

}  // namespace
}  // namespace callboard::wire
