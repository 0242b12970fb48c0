#include "engine/scheduler.h"

#include <algorithm>
#include <limits>

#include "core/check.h"

namespace mixtral {
namespace {

// Who keeps its pages when they run out.
bool is_senior(const Sequence& a, const Sequence& b) {
  return a.priority != b.priority ? a.priority > b.priority : a.order < b.order;
}

}  // namespace

void Scheduler::join_client(const Sequence& sequence) {
  // Who comes back has no claim on turns that it did not ask for.
  uint64_t fewest = std::numeric_limits<uint64_t>::max();
  for (const auto& [name, client] : clients_) fewest = std::min(fewest, client.n_rows);
  if (clients_.empty()) fewest = 0;
  clients_.try_emplace(sequence.client, Client{fewest, 0}).first->second.n_sequences += 1;
}

void Scheduler::leave_client(const Sequence& sequence) {
  const auto client = clients_.find(sequence.client);
  if (--client->second.n_sequences == 0) clients_.erase(client);
}

bool Scheduler::goes_before(const Sequence& a, const Sequence& b) {
  if (a.priority != b.priority) return a.priority > b.priority;
  if (a.was_preempted != b.was_preempted) return a.was_preempted;
  const uint64_t rows_a = client_of(a).n_rows, rows_b = client_of(b).n_rows;
  return rows_a != rows_b ? rows_a < rows_b : a.order < b.order;
}

void Scheduler::add(std::unique_ptr<Sequence> sequence) {
  MIXTRAL_CHECK(sequence->n_answers <= limits_.max_sequences, "more answers than may run");
  join_client(*sequence);
  waiting_.push_back(std::move(sequence));
}

// After those that are as senior: a child follows its parent.
void Scheduler::insert_running(std::unique_ptr<Sequence> sequence) {
  sequence->runs = true;
  const auto place =
      std::upper_bound(running_.begin(), running_.end(), sequence,
                       [](const auto& a, const auto& b) { return is_senior(*a, *b); });
  running_.insert(place, std::move(sequence));
}

void Scheduler::fork(Sequence& parent, std::unique_ptr<Sequence> child) {
  MIXTRAL_CHECK(parent.n_answers > 1, "no answer is left for the child");
  parent.n_answers -= 1;
  child->kv.share(parent.kv);
  join_client(*child);
  insert_running(std::move(child));
}

std::unique_ptr<Sequence> Scheduler::remove(Sequence& sequence, bool good) {
  Sequences& from = sequence.runs ? running_ : waiting_;
  const auto place = std::find_if(from.begin(), from.end(),
                                  [&](const auto& other) { return other.get() == &sequence; });
  MIXTRAL_CHECK(place != from.end(), "the sequence is somebody else's");
  std::unique_ptr<Sequence> owned = std::move(*place);
  from.erase(place);
  if (owned->runs) n_slots_used_ -= owned->n_answers;
  owned->drop_drafts();
  const auto computed = std::span<const int32_t>(owned->ids).first(owned->kv.n_tokens());
  if (good) {
    cache_.insert(owned->salt, computed, owned->kv);
  } else {
    cache_.forget(owned->salt, owned->ids);
  }
  owned->kv.clear();
  leave_client(*owned);
  return owned;
}

std::span<const ScheduledRows> Scheduler::plan_step() {
  plan_.clear();
  admit();
  plan_streams();
  plan_reading();
  MIXTRAL_CHECK(!plan_.empty() || empty(), "nobody can get on");
  return plan_;
}

void Scheduler::step_done() {
  for (const ScheduledRows& rows : plan_) {
    Sequence& sequence = *rows.sequence;
    sequence.n_planned = 0;
    if (sequence.streams) continue;
    sequence.streams = sequence.n_uncomputed() == 0;
    // Others with the same beginning need not wait for the end of this one. The last page is for
    // those who want it already: this sequence goes on in a copy.
    size_t n_shared = sequence.kv.n_tokens();
    const size_t n_whole = n_shared / kPageTokens * kPageTokens;
    if (!sequence.streams || !others_read_on(sequence, n_whole)) n_shared = n_whole;
    cache_.insert(sequence.salt, std::span<const int32_t>(sequence.ids).first(n_shared),
                  sequence.kv);
  }
}

// Whether somebody has yet to read these tokens of `sequence` and at least one more.
bool Scheduler::others_read_on(const Sequence& sequence, size_t n_tokens) const {
  if (n_tokens >= sequence.ids.size()) return false;
  const auto first = sequence.ids.begin(), end = first + static_cast<ptrdiff_t>(n_tokens + 1);
  const auto reads_on = [&](const std::unique_ptr<Sequence>& other) {
    return other.get() != &sequence && !other->streams && other->salt == sequence.salt &&
           other->kv.n_tokens() <= n_tokens && other->ids.size() > n_tokens + 1 &&
           std::equal(first, end, other->ids.begin());
  };
  return std::any_of(running_.begin(), running_.end(), reads_on) ||
         std::any_of(waiting_.begin(), waiting_.end(), reads_on);
}

void Scheduler::admit() {
  while (!waiting_.empty() && n_slots_used_ < limits_.max_sequences) {
    const auto next =
        std::min_element(waiting_.begin(), waiting_.end(),
                         [this](const auto& a, const auto& b) { return goes_before(*a, *b); });
    if (n_slots_used_ + (*next)->n_answers > limits_.max_sequences) return;
    if (!running_.empty() && !fits(**next)) return;
    n_slots_used_ += (*next)->n_answers;
    insert_running(std::move(*next));
    waiting_.erase(next);
  }
}

// Pages that reading all known tokens takes from now on, and the first of each answer.
size_t Scheduler::pages_to_read(const Sequence& sequence) const {
  const size_t all = pages_of(sequence.ids.size()) - pages_of(sequence.kv.n_tokens());
  return std::min(all, limits_.max_sequence_pages) + sequence.n_answers;
}

// Whether there are pages for all of its tokens, besides those that others will need to read
// theirs, and soon to go on.
bool Scheduler::fits(const Sequence& sequence) {
  size_t needed = pages_to_read(sequence);
  for (const auto& other : running_) needed += other->streams ? 1 : pages_to_read(*other);
  for (const PageId page : cache_.find(sequence.salt, sequence.ids).pages) {
    if (page != kNoPage && pool_.n_holders(page) > 1 && needed > 0) needed -= 1;
  }
  return needed <= pool_.n_free() + pool_.n_reusable();
}

bool Scheduler::make_room(KvSequence& kv, size_t count) {
  kv.forget_unseen();
  while (pool_.n_free() < kv.pages_needed(count)) {
    if (!cache_.evict_one()) return false;
  }
  return true;
}

void Scheduler::preempt_last() {
  std::unique_ptr<Sequence> victim = std::move(running_.back());
  running_.pop_back();
  n_slots_used_ -= victim->n_answers;
  if (victim->n_planned > 0) {
    std::erase_if(plan_, [&](const ScheduledRows& rows) { return rows.sequence == victim.get(); });
    victim->kv.truncate(victim->kv.n_tokens() - victim->n_planned);
    victim->n_planned = 0;
  }
  victim->drop_drafts();
  const auto computed = std::span<const int32_t>(victim->ids).first(victim->kv.n_tokens());
  cache_.insert(victim->salt, computed, victim->kv);
  victim->kv.clear();
  victim->runs = victim->streams = false;
  victim->was_preempted = true;
  n_preemptions_ += 1;
  waiting_.push_back(std::move(victim));
}

// Preempts the last of those that run, unless that is the sequence itself.
bool Scheduler::preempt_after(const Sequence& sequence) {
  if (running_.back().get() == &sequence) return false;
  preempt_last();
  return true;
}

void Scheduler::plan(Sequence& sequence, size_t n_rows, size_t n_logit_rows) {
  const bool extended = sequence.kv.extend(n_rows);
  MIXTRAL_CHECK(extended, "room was made before");
  sequence.n_planned = n_rows;
  client_of(sequence).n_rows += n_rows;
  plan_.push_back({&sequence, n_rows, n_logit_rows});
}

void Scheduler::plan_streams() {
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    if (!sequence.streams) continue;
    if (sequence.n_drafts > 0 && !make_room(sequence.kv, sequence.n_uncomputed())) {
      sequence.drop_drafts();  // not worth anybody's pages
    }
    const size_t n_rows = sequence.n_uncomputed();
    bool has_room = make_room(sequence.kv, n_rows);
    while (!has_room && preempt_after(sequence)) has_room = make_room(sequence.kv, n_rows);
    if (!has_room) return preempt_last();
    plan(sequence, n_rows, n_rows);
  }
}

void Scheduler::plan_reading() {
  readers_.clear();
  for (const auto& sequence : running_) {
    if (!sequence->streams) readers_.push_back(sequence.get());
  }
  std::sort(readers_.begin(), readers_.end(),
            [this](const Sequence* a, const Sequence* b) { return goes_before(*a, *b); });
  size_t left = rows_for_readers();
  size_t logit_rows_left = limits_.max_prompt_logit_rows;
  for (Sequence* sequence : readers_) {
    if (left == 0) return;
    if (!sequence->runs) continue;  // one before it took its pages
    const size_t planned = plan_chunk(*sequence, left, logit_rows_left);
    left -= planned;
    if (sequence->wants_all_logits) logit_rows_left -= std::min(logit_rows_left, planned);
  }
}

// Every row makes those who stream wait. Where more wait for their first token than for their next,
// the rows grow with them.
size_t Scheduler::rows_for_readers() const {
  size_t n_rows = 0;
  for (const ScheduledRows& rows : plan_) n_rows += rows.n_rows;
  const size_t left = limits_.max_rows - std::min(n_rows, limits_.max_rows);
  const size_t n_streams = plan_.size();
  if (n_streams == 0) return left;
  const size_t weighed = limits_.max_shared_rows * readers_.size() / n_streams;
  return std::min(left, std::max(limits_.max_shared_rows, weighed));
}

size_t Scheduler::plan_chunk(Sequence& sequence, size_t max_rows, size_t max_logit_rows) {
  reuse_pages(sequence);
  const bool all_logits = sequence.wants_all_logits && sequence.reads_prompt();
  size_t n_rows = std::min(sequence.n_uncomputed(), max_rows);
  if (all_logits) n_rows = std::min(n_rows, max_logit_rows);
  if (n_rows == 0) return 0;
  while (!make_room(sequence.kv, n_rows)) {
    if (!preempt_after(sequence)) return 0;
  }
  const bool ends = n_rows == sequence.n_uncomputed();
  plan(sequence, n_rows, all_logits ? n_rows : ends ? 1 : 0);
  return n_rows;
}

// The last known token is always computed, for its logits.
void Scheduler::reuse_pages(Sequence& sequence) {
  if (sequence.reads_prompt() && !sequence.reuses_prompt) return;
  const size_t n_computed = sequence.kv.n_tokens();
  const auto reusable = std::span<const int32_t>(sequence.ids).first(sequence.ids.size() - 1);
  const PrefixMatch& match = cache_.find(sequence.salt, reusable);
  if (match.n_tokens <= n_computed) return;
  sequence.kv.truncate(n_computed / kPageTokens * kPageTokens);  // the rest is in that page too
  sequence.kv.adopt(match.pages, match.n_tokens);
  if (!sequence.was_preempted) sequence.n_cached += match.n_tokens - n_computed;
}

}  // namespace mixtral
