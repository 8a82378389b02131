#include "broker/store/fence.hpp"

#include <utility>

namespace callboard::broker {

namespace {

// KEYS: fence, meta. ARGV: token, schema, broker's name, epoch of this run (0: it takes over),
// the part of the token that all connections of this run share; of a witness epoch (0: none),
// timeline and commit_no; what the fence must hold to be taken over, after a "=" (empty: anything).
// Earlier versions can be read: 1 has no journal, 2 tells more of unnamed actors, 3 has journal
// records of another form.
constexpr std::string_view kFenceScript = R"lua(#!lua flags=allow-oom
local schema = redis.call('HGET', KEYS[2], 'schema')
if schema and schema ~= ARGV[2] and schema ~= '1' and schema ~= '2' and schema ~= '3' then
  return {'SCHEMA', schema}
end
local raise = ARGV[6] ~= '0'
local fence = redis.call('GET', KEYS[1])
if ARGV[4] == '0' then
  if ARGV[9] ~= '' and ARGV[9] ~= '=' .. (fence or '') then return {'CHANGED', fence or ''} end
else
  local epoch = redis.call('HGET', KEYS[2], 'epoch')
  local ours = fence and string.sub(fence, 1, #ARGV[5]) == ARGV[5]
  if not ours or (epoch ~= ARGV[4] and not raise) then
    return {'LOST', fence or '', epoch or ''}
  end
end
if ARGV[4] == '0' or raise then
  redis.call('HINCRBY', KEYS[2], 'epoch', 1)
  redis.call('HSETNX', KEYS[2], 'timeline', 1)
  redis.call('HSETNX', KEYS[2], 'commit_no', 0)
  redis.call('HSET', KEYS[2], 'schema', ARGV[2], 'broker', ARGV[3])
end
if raise then
  local function set(field, value)
    redis.call('HSET', KEYS[2], field, string.format('%.0f', value))
  end
  local at = redis.call('HMGET', KEYS[2], 'epoch', 'timeline', 'commit_no')
  set('epoch', math.max(tonumber(at[1]), tonumber(ARGV[6]) + 1))
  if tonumber(at[2]) <= tonumber(ARGV[7]) then
    set('timeline', ARGV[7] + 1)
    set('commit_no', math.max(tonumber(at[3]), tonumber(ARGV[8])))
  end
end
redis.call('SET', KEYS[1], ARGV[1])
local meta = redis.call('HMGET', KEYS[2], 'epoch', 'timeline', 'commit_no')
return {'OWNED', meta[1], meta[2], meta[3]}
)lua";

}  // namespace

Fence::Fence(std::string prefix, std::string run_token, std::string broker_name)
    : fence_key_(prefix + "fence"),
      meta_key_(prefix + "meta"),
      run_token_(std::move(run_token) + "-"),
      broker_name_(std::move(broker_name)) {}

void Fence::write_request(OutBuffer& out, const Witness* witness, const std::string* found) {
  token_ = run_token_ + std::to_string(++connections_);
  RespWriter(out).command({"EVAL", kFenceScript, "2", fence_key_, meta_key_, token_,
                           std::to_string(kStoreSchema), broker_name_, std::to_string(epoch_),
                           run_token_, std::to_string(witness != nullptr ? witness->epoch : 0),
                           std::to_string(witness != nullptr ? witness->timeline : 0),
                           std::to_string(witness != nullptr ? witness->commit_no : 0),
                           found != nullptr ? "=" + *found : std::string()});
}

Fence::Answer Fence::read_answer(const Reply& reply) const {
  if (reply.is_error()) return {Answer::Kind::refused, std::string(reply.text())};
  const std::string_view verdict = reply.size() > 0 ? reply[0].text() : std::string_view();
  if (verdict == "SCHEMA" && reply.size() == 2) {
    return {Answer::Kind::schema, "the store has schema version " + std::string(reply[1].text()) +
                                      ", this broker knows only version " +
                                      std::to_string(kStoreSchema)};
  }
  if (verdict == "CHANGED") return {Answer::Kind::changed, "another broker was quicker"};
  if (verdict == "LOST" && reply.size() == 3) return read_loss(reply[1].text(), reply[2].text());
  Answer answer;
  if (verdict == "OWNED" && reply.size() == 4 && parse_number(reply[1].text(), answer.epoch) &&
      parse_number(reply[2].text(), answer.timeline) &&
      parse_number(reply[3].text(), answer.commit_no)) {
    return answer;
  }
  return {Answer::Kind::refused, "the numbers in " + meta_key_ + " make no sense"};
}

Fence::Answer Fence::read_loss(std::string_view found_fence, std::string_view found_epoch) const {
  std::uint64_t epoch = 0;
  if (found_fence.empty() || !parse_number(found_epoch, epoch)) {
    return {Answer::Kind::went_back, "the store was emptied or replaced by an empty one"};
  }
  if (epoch < epoch_) {
    return {Answer::Kind::went_back, "the store went back to epoch " + std::string(found_epoch) +
                                         ", this broker had seen " + std::to_string(epoch_)};
  }
  return {Answer::Kind::taken, "another broker took over (epoch " + std::string(found_epoch) +
                                   ", this one had " + std::to_string(epoch_) + ")"};
}

}  // namespace callboard::broker
