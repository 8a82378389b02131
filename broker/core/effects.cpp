#include "broker/core/event.hpp"
#include "common/limits.hpp"

#include <algorithm>
#include <utility>

namespace callboard::broker {

namespace {

/// So much is appended at once: it is in the nearest cache still.
constexpr std::size_t kBlockBytes = 1536;

bool full(const wire::Frame& frame) {
  return frame.head.size() >= limits::kFrameBytesTarget ||
         frame.parts.size() >= limits::kFramePartsMax / 2;
}

}  // namespace

wire::Frame& Effects::last_of(std::vector<wire::Frame>& of_peer) {
  if (!of_peer.empty() && !full(of_peer.back())) {
    largest_bytes_ = std::max(largest_bytes_, of_peer.back().head.size());
    return of_peer.back();
  }
  wire::Frame& frame = of_peer.emplace_back();
  frame.head.reserve(typical_bytes_);
  return frame;
}

wire::Frame& Effects::frame_for(PeerId peer) {
  append(gathered(peer));
  // Most steps write to the peer that they wrote to last.
  if (last_ < frames.size() && frames[last_].first == peer) return last_of(frames[last_].second);
  const auto [place, added] = index.try_emplace(static_cast<std::uint64_t>(peer), frames.size());
  if (added) frames.emplace_back(peer, std::vector<wire::Frame>());
  last_ = place->second;
  return last_of(frames[last_].second);
}

Effects::Gathered* Effects::gather_for(PeerId peer) {
  Gathered& begun = gathered(peer);
  const std::size_t written = frames[last_].second.back().head.size();
  begun.peer = peer;
  begun.frames = last_;
  begun.enough = std::min(kBlockBytes, limits::kFrameBytesTarget - written);
  begun.block.resize(kBlockBytes + kGatheredBytesMax);
  gathering_.push_back(place_of(peer));
  return &begun;
}

void Effects::append(Gathered& gathered) {
  gathered.enough = 0;
  if (gathered.bytes == 0) return;
  wire::Frame& frame = frames[gathered.frames].second.back();
  frame.head.append(gathered.block.data(), std::exchange(gathered.bytes, 0));
  largest_bytes_ = std::max(largest_bytes_, frame.head.size());
}

void Effects::append_gathered() {
  for (const std::uint8_t place : gathering_) append(gathered_[place]);
  gathering_.clear();
}

void Effects::forget(PeerId peer) {
  append(gathered(peer));
  const auto found = index.find(static_cast<std::uint64_t>(peer));
  if (found != index.end()) frames[found->second].second.assign(1, wire::Frame());
}

void Effects::clear() {
  for (const std::uint8_t place : gathering_) gathered_[place].enough = gathered_[place].bytes = 0;
  gathering_.clear();
  typical_bytes_ = std::exchange(largest_bytes_, 0);
  frames.clear();
  index.clear();
  announcements.clear();
  reads.clear();
  log.clear();
  fatal.clear();
  ahead.reset();
}

}  // namespace callboard::broker
