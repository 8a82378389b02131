#include "broker/store/redis_url.hpp"

#include "broker/store/resp.hpp"

#include <limits>

namespace callboard::broker {

namespace {

int hex_digit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

bool decode_percent(std::string_view text, std::string& out) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    const int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return false;
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return true;
}

template <class Number>
bool parse_into(std::string_view text, Number& to) {
  std::uint64_t value = 0;
  if (!parse_number(text, value) || value > std::numeric_limits<Number>::max()) return false;
  to = static_cast<Number>(value);
  return true;
}

/// Takes "[user]:password@" or "user@" off the front.
bool take_login(std::string_view& text, RedisUrl& url) {
  const std::size_t at = text.rfind('@');
  if (at == std::string_view::npos) return true;
  const std::string_view login = text.substr(0, at);
  text.remove_prefix(at + 1);
  const std::size_t colon = login.find(':');
  if (!decode_percent(login.substr(0, colon), url.user)) return false;
  return colon == std::string_view::npos || decode_percent(login.substr(colon + 1), url.password);
}

bool take_host_and_port(std::string_view text, RedisUrl& url) {
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {  // an IPv6 address
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return false;
    host = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    if (!text.empty() && !text.starts_with(':')) return false;
    if (!text.empty()) port = text.substr(1);
  } else if (const std::size_t colon = text.rfind(':'); colon != std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  if (!host.empty()) url.host = host;
  return port.empty() || (parse_into(port, url.port) && url.port != 0);
}

Result<RedisUrl> bad(std::string_view what) {
  return {Errc::invalid_option, "the address of Redis: " + std::string(what) +
                                    " (redis://[user:password@]host:port/db or unix:///path)"};
}

Result<RedisUrl> parse_unix(std::string_view text) {
  RedisUrl url;
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return bad("a unix socket needs an absolute path");
  std::string_view login = text.substr(0, slash);
  if (!login.empty() && (!login.ends_with('@') || !take_login(login, url))) {
    return bad("user and password cannot be read");
  }
  std::string_view path = text.substr(slash);
  const std::size_t query = path.find('?');
  if (query != std::string_view::npos) {
    const std::string_view option = path.substr(query + 1);
    path = path.substr(0, query);
    if (!option.starts_with("db=") || !parse_into(option.substr(3), url.db)) {
      return bad("the only option is ?db=NUMBER");
    }
  }
  url.path = path;
  return url;
}

Result<RedisUrl> parse_tcp(std::string_view text) {
  RedisUrl url;
  if (!take_login(text, url)) return bad("user and password cannot be read");
  const std::size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    const std::string_view db = text.substr(slash + 1);
    text = text.substr(0, slash);
    if (!db.empty() && !parse_into(db, url.db)) return bad("the database is not a number");
  }
  if (text.empty()) return bad("the host is missing");
  if (!take_host_and_port(text, url)) return bad("the port is not a number from 1 to 65535");
  return url;
}

}  // namespace

std::string RedisUrl::text() const {
  const std::string login = user.empty() ? "" : user + "@";
  if (is_unix()) return "unix://" + login + path + (db == 0 ? "" : "?db=" + std::to_string(db));
  const bool ipv6 = host.find(':') != std::string::npos;
  return "redis://" + login + (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port) + "/" +
         std::to_string(db);
}

Result<RedisUrl> parse_redis_url(std::string_view text) {
  if (text.starts_with("redis://")) return parse_tcp(text.substr(8));
  if (text.starts_with("unix://")) return parse_unix(text.substr(7));
  if (text.starts_with("unix:")) return parse_unix(text.substr(5));
  if (text.starts_with("rediss://")) return bad("TLS is not supported");
  if (text.starts_with('/')) return parse_unix(text);
  if (text.find("://") != std::string_view::npos) return bad("unknown kind of address");
  return parse_tcp(text);
}

}  // namespace callboard::broker
