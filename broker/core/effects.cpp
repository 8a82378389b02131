#include "broker/core/event.hpp"
#include "common/limits.hpp"

namespace callboard::broker {

namespace {

bool full(const wire::Frame& frame) {
  return frame.head.size() >= limits::kFrameBytesTarget ||
         frame.parts.size() >= limits::kFramePartsMax / 2;
}

}  // namespace

wire::Frame& Effects::frame_for(PeerId peer) {
  // Most steps write to the peer that they wrote to last.
  if (!frames.empty() && frames.back().first == peer) {
    std::vector<wire::Frame>& last = frames.back().second;
    return full(last.back()) ? last.emplace_back() : last.back();
  }
  const auto [place, added] = index.try_emplace(static_cast<std::uint64_t>(peer), frames.size());
  if (added) frames.emplace_back(peer, std::vector<wire::Frame>(1));
  std::vector<wire::Frame>& of_peer = frames[place->second].second;
  return full(of_peer.back()) ? of_peer.emplace_back() : of_peer.back();
}

void Effects::forget(PeerId peer) {
  const auto found = index.find(static_cast<std::uint64_t>(peer));
  if (found != index.end()) frames[found->second].second.assign(1, wire::Frame());
}

void Effects::clear() {
  frames.clear();
  index.clear();
  announcements.clear();
  log.clear();
  fatal.clear();
  ahead.reset();
}

}  // namespace callboard::broker
