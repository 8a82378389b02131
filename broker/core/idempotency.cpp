// Idempotency keys: calls of one queue with one key and the same payload are one execution.
//
// The first of them runs; the others follow it and end as it does, also when they come up to
// `dedupe_ttl_ms` after its end. What is open needs no record of its own: the calls' records say
// which key they have. A key whose call never began is free again, and the next of its followers
// takes its place.
#include "broker/core/core.hpp"
#include "broker/core/records.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <utility>

namespace callboard::broker {

namespace {

constexpr std::int64_t kBucketMs = 60'000;  ///< outcomes that ended within it expire together

std::string bucket_key(std::int64_t bucket) { return "dedupe:" + std::to_string(bucket); }

std::string scoped(const Queue& queue, std::string_view key) {
  std::string name = queue.name();
  return name.append("\n").append(key);
}

}  // namespace

std::string payload_digest(std::string_view method, const wire::CallOptions& options,
                           std::string_view args) {
  XXH3_state_t* state = XXH3_createState();
  XXH3_128bits_reset(state);
  const auto add = [&](std::string_view bytes) {
    const std::uint64_t size = bytes.size();
    XXH3_128bits_update(state, &size, sizeof size);
    XXH3_128bits_update(state, bytes.data(), bytes.size());
  };
  add(method);
  add(args);
  for (const wire::Ref& ref : options.refs) {
    add(std::to_string(ref.index));
    add(to_string(ref.call));
  }
  XXH128_canonical_t digest;
  XXH128_canonicalFromHash(&digest, XXH3_128bits_digest(state));
  XXH3_freeState(state);
  return {reinterpret_cast<const char*>(digest.digest), sizeof digest.digest};
}

bool Core::key_conflicts(const Queue& queue, const std::string& key,
                         std::string_view digest) const {
  const auto found = keyed_.find(scoped(queue, key));
  return found != keyed_.end() && found->second.digest != digest;
}

/// REQUIRES: the call was accepted and its key does not conflict.
/// True: it is the one that runs. False: it follows another, or has ended as that one did.
bool Core::lead_key(Call& call) {
  const std::string name = scoped(*call.queue, call.extra->options.idempotency_key);
  auto [at, is_new] = keyed_.try_emplace(name);
  KeyedCalls& keyed = at->second;
  if (is_new) {
    keyed.digest = call.extra->digest;
    keyed.first = CallSlab::ref(call);
    return true;
  }
  call.follows = true;
  store_follower(call);
  if (!keyed.ended) {
    keyed.followers.push_back(CallSlab::ref(call));
    return false;
  }
  const std::string value = keyed.value;
  end_call(call, keyed.status, wire::Body{value, Blob()}, false);
  return false;
}

const Call* Core::leader_of(const Call& follower) const {
  const auto found = keyed_.find(scoped(*follower.queue, follower.extra->options.idempotency_key));
  return found == keyed_.end() ? nullptr : found->second.first.get();
}

/// The watermark of its lane may pass it while it waits outside of the lane: that it was never sent
/// is on record of its own.
void Core::store_follower(Call& call) {
  call.orphan = false;
  if (!call.durable || !call.counted) return;
  call.sent_record = true;
  store_sent(call, false);
}

namespace {

/// Sent or not, it was not begun; what ended between two attempts has another outcome.
bool never_began(const Call& call) {
  return call.attempts == 0 || call.status == Errc::expired || call.status == Errc::deadlock;
}

}  // namespace

void Core::key_ended(Call& call) {
  const std::string name = scoped(*call.queue, call.extra->options.idempotency_key);
  const auto found = keyed_.find(name);
  if (found == keyed_.end() || found->second.first.get() != &call || found->second.ended) return;
  KeyedCalls& keyed = found->second;
  std::vector<CallSlab::Ref> followers;
  followers.swap(keyed.followers);
  if (never_began(call)) {  // its key is free
    std::erase_if(followers, [](const CallSlab::Ref& ref) {
      return ref.get() == nullptr || ref.get()->state == CallState::ended;
    });
    if (!followers.empty()) {
      // One that is due, when there is one: nobody waits for a delay that is not his.
      auto heir = std::find_if(followers.begin(), followers.end(),
                               [](const CallSlab::Ref& ref) { return !ref.get()->delayed; });
      if (heir == followers.end()) heir = followers.begin();
      Call* next = heir->get();
      keyed.first = *heir;
      followers.erase(heir);
      keyed.followers = std::move(followers);
      next->follows = false;
      if (next->queue->state == QueueState::dead) return;  // it is about to end as well
      enter(*next);
      return wake(*next->queue);
    }
    keyed_.erase(found);
    return;
  }
  keyed.ended = true;
  keyed.status = call.status;
  keyed.value = call.value();
  keyed.id = call.id();
  keyed.bucket = now_.wall_ms / kBucketMs;
  keyed_bytes_ += name.size() + keyed.value.size();
  key_buckets_[keyed.bucket].push_back(name);
  if (call.durable) {
    open_->set(open_->key(KeyKind::set, "dedupe"), std::to_string(keyed.bucket), "");
    const auto key = open_->key(KeyKind::hash, bucket_key(keyed.bucket));
    open_->set(key, name, keyed_record(keyed));
    open_->expire(key, (keyed.bucket + 1) * kBucketMs + options_.dedupe_ttl_ms - now_.wall_ms);
  }
  // Ends of followers change the table: nothing of it is used from here on.
  const std::string value = keyed.value;
  const Errc status = call.status;
  for (const CallSlab::Ref& ref : followers) {
    Call* follower = ref.get();
    if (follower == nullptr || follower->state == CallState::ended) continue;
    end_call(*follower, status, wire::Body{value, Blob()}, false);
  }
}

void Core::expire_keys() {
  while (!key_buckets_.empty()) {
    const auto& [bucket, names] = *key_buckets_.begin();
    if ((bucket + 1) * kBucketMs + options_.dedupe_ttl_ms > now_.wall_ms) return;
    for (const std::string& name : names) {
      const auto found = keyed_.find(name);
      if (found == keyed_.end() || !found->second.ended || found->second.bucket != bucket) continue;
      keyed_bytes_ -= name.size() + found->second.value.size();
      keyed_.erase(found);
    }
    open_->erase(open_->key(KeyKind::set, "dedupe"), std::to_string(bucket));
    key_buckets_.erase(key_buckets_.begin());
  }
}

std::string Core::restore_key(const Restored::StoredCall& stored) {
  KeyedCalls keyed;
  if (!read_keyed_record(stored.value, keyed)) {
    return "the outcome of an idempotency key cannot be read";
  }
  keyed.ended = true;
  keyed_bytes_ += stored.number.size() + keyed.value.size();
  key_buckets_[keyed.bucket].push_back(stored.number);
  keyed_[stored.number] = std::move(keyed);
  return {};
}

}  // namespace callboard::broker
