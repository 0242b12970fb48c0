#include "engine/speculator.h"

#include <algorithm>

#include "engine/answer_writer.h"
#include "engine/ngram_drafter.h"
#include "engine/running_request.h"

namespace mixtral {
namespace {

// Estimates err: what promises less is not worth it.
constexpr double kLeastGain = 1.03;
constexpr double kObservationWeight = 0.12, kOtherSequenceWeight = 0.03;
// Whoever names a draft model expects something of it.
constexpr double kFirstChanceOfModel = 0.8;
// Trying again a drafter that did not pay: how many guesses, and the part of all time it may take.
constexpr size_t kProbeTokens = 2;
constexpr double kProbeShare = 0.02;
// A draft model reads what it has missed for the sake of the tokens to come, at most so many.
constexpr size_t kPreparedTokens = 128;

}  // namespace

// The longer the match, the better the guess.
Acceptance::Acceptance(double& of_model) : of_model_(of_model) {
  chances_[0] = of_model;
  for (size_t evidence = 1; evidence < chances_.size(); ++evidence) {
    const double n = static_cast<double>(evidence);
    chances_[evidence] = n / (n + 4);
  }
}

void Acceptance::observe(size_t evidence, bool came_true) {
  const auto follow = [came_true](double& chance, double weight) {
    chance += weight * ((came_true ? 1 : 0) - chance);
  };
  follow(chances_[index(evidence)], kObservationWeight);
  if (evidence == 0) follow(of_model_, kOtherSequenceWeight);
}

void SequenceDrafts::observe(int32_t id) {
  if (n_seen >= guesses.size()) return;
  const bool came_true = guesses[n_seen] == id;
  const size_t evidence = offer.evidence == 0 ? 0 : offer.evidence + n_seen;
  acceptance.observe(evidence, came_true);
  n_seen += 1;
  if (!came_true) guesses.clear();
}

Speculator::Speculator(std::unique_ptr<DraftModel> model, size_t max_sequences,
                       size_t max_draft_rows)
    : model_(std::move(model)),
      max_draft_rows_(max_draft_rows),
      costs_(max_sequences + max_draft_rows),
      chance_of_model_(kFirstChanceOfModel) {}

void Speculator::look(Sequence& sequence) {
  if (sequence.drafts == nullptr) {
    sequence.drafts = std::make_unique<SequenceDrafts>(chance_of_model_);
    auto& drafter = sequence.drafts->drafter;
    if (model_ != nullptr) {
      drafter = model_->make_drafter();
    } else {
      drafter = std::make_unique<NgramDrafter>();
    }
  }
  SequenceDrafts& drafts = *sequence.drafts;
  const size_t most = std::min(max_draft_rows_, sequence.answer->n_left() - 1);
  drafts.n_chosen = 0;
  drafts.offer = drafts.drafter->look(sequence.ids, most);
  const auto n_prepared = std::min(sequence.answer->n_left(), kPreparedTokens);
  const double before = drafts.offer.seconds_before / static_cast<double>(n_prepared);
  double chance = 1;
  for (size_t i = 0; i < std::min(drafts.offer.n_tokens, most); ++i) {
    chance *= drafts.acceptance.chance(drafts.offer.evidence == 0 ? 0 : drafts.offer.evidence + i);
    const double n_tokens = i == 0 ? 1 + chance : chance;  // the one that comes anyway, too
    candidates_.push_back({&sequence, chance, n_tokens * before + drafts.offer.seconds_per_token});
  }
}

// How many of the best candidates make for the most tokens a second.
size_t Speculator::count_paying(size_t n_streams) const {
  double n_tokens = static_cast<double>(n_streams), drafting = 0;
  double best_rate = n_tokens / costs_.of(n_streams) * kLeastGain;
  size_t best = 0;
  for (size_t n = 1; n <= std::min(candidates_.size(), max_draft_rows_); ++n) {
    n_tokens += candidates_[n - 1].chance;
    drafting += candidates_[n - 1].seconds;
    const double rate = n_tokens / (costs_.of(n_streams + n) + drafting);
    if (rate <= best_rate) continue;
    best_rate = rate;
    best = n;
  }
  return best;
}

// Guesses that cost nothing are compared all the time and need no trial.
bool Speculator::may_probe(const SequenceDrafts& drafts, size_t n_streams) const {
  const DraftOffer& offer = drafts.offer;
  if (offer.n_tokens < kProbeTokens || offer.seconds_per_token == 0) return false;
  const double rows = costs_.of(n_streams + kProbeTokens) - costs_.of(n_streams);
  const double cost = offer.seconds_before + kProbeTokens * offer.seconds_per_token + rows;
  return seconds_without_ * kProbeShare > cost;
}

void Speculator::take(Sequence& sequence) {
  SequenceDrafts& drafts = *sequence.drafts;
  const bool is_free = drafts.offer.seconds_per_token == 0 && drafts.offer.n_tokens > 0;
  const size_t n_wanted = std::max<size_t>(drafts.n_chosen, is_free ? 1 : 0);
  drafts.n_seen = 0;
  drafts.guesses.clear();
  if (n_wanted > 0) drafts.drafter->draft(sequence.ids, n_wanted, drafts.guesses);
  if (drafts.n_chosen > 0) seconds_without_ = 0;
  const size_t n_taken = std::min(drafts.n_chosen, drafts.guesses.size());
  sequence.ids.insert(sequence.ids.end(), drafts.guesses.begin(),
                      drafts.guesses.begin() + static_cast<ptrdiff_t>(n_taken));
  sequence.n_drafts = n_taken;
}

void Speculator::add_drafts(std::span<const std::unique_ptr<Sequence>> running) {
  candidates_.clear();
  const auto streams = [](const auto& sequence) { return sequence->streams; };
  if (running.empty() || !std::all_of(running.begin(), running.end(), streams)) return;
  const auto speculates = [](const auto& sequence) { return sequence->request->request.speculate; };
  for (const auto& sequence : running) {
    if (speculates(sequence)) look(*sequence);
  }
  // Each of a sequence is at most as likely as the one before it, and those that are as likely may
  // change places: only how many are taken counts. Not stable_sort, which allocates.
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.chance > b.chance; });
  const size_t n_paying = count_paying(running.size());
  for (size_t i = 0; i < n_paying; ++i) candidates_[i].sequence->drafts->n_chosen += 1;
  size_t n_left = max_draft_rows_ - n_paying;
  for (const auto& sequence : running) {
    if (!speculates(sequence)) continue;
    SequenceDrafts& drafts = *sequence->drafts;
    if (drafts.n_chosen == 0 && n_left >= kProbeTokens && may_probe(drafts, running.size())) {
      drafts.n_chosen = kProbeTokens;
      n_left -= kProbeTokens;
    }
    take(*sequence);
  }
}

void Speculator::observe_step(size_t n_rows, double seconds) {
  costs_.add(n_rows, seconds);
  seconds_without_ += seconds;
}

}  // namespace mixtral
