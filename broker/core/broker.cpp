#include "broker/core/broker.hpp"

#include "broker/core/core.hpp"

#include <utility>

namespace callboard::broker {

Broker::Broker(const BrokerOptions& options, std::uint64_t random_seed, ZoneReader read_zone)
    : core_(std::make_unique<Core>(options, random_seed, std::move(read_zone))) {}
Broker::~Broker() = default;

std::string Broker::load(const StoreEntry& entry) { return core_->load(entry); }
void Broker::loaded(Instant now, Effects& effects) { core_->loaded(now, effects); }
void Broker::step(Instant now, const Event& event, Effects& effects) {
  core_->step(now, event, effects);
}
std::int64_t Broker::next_deadline_us() const { return core_->next_deadline_us(); }
bool Broker::congested() const { return core_->congested(); }
bool Broker::has_batch() const { return core_->has_batch(); }
std::size_t Broker::batch_bytes() const { return core_->open_bytes(); }
const StoreBatch& Broker::take_batch(std::uint64_t& commit_no) {
  return core_->take_batch(commit_no);
}
void Broker::settle_journal() { core_->settle_journal(); }

}  // namespace callboard::broker
