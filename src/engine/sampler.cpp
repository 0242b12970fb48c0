#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mixtral {
namespace {

constexpr float kMaxBias = 1000;

Status require(bool good, const char* option, double found, const char* expected) {
  if (good) return {};
  return fail(ErrorCode::kBadInput, "{}: {}, expected {}", option, found, expected);
}

// Index of the largest logit, the first of equal ones; fails if there is no such thing.
Result<size_t> find_largest(std::span<const float> logits) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  size_t best = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] < kInfinity)) {
      return fail(ErrorCode::kDevice,
                  "the model gave token {} the logit {}, expected a finite number", i, logits[i]);
    }
    if (logits[i] > logits[best]) best = i;
  }
  if (logits[best] == -kInfinity) {
    return fail(ErrorCode::kDevice, "the model gave every token the logit -inf");
  }
  return best;
}

bool allows(TokenMask mask, size_t id) {
  return mask.empty() || (mask[id / 64] >> (id % 64) & 1) != 0;
}

}  // namespace

Status validate(const SamplingOptions& options, size_t vocab_size) {
  const auto within = [](float value, float low, float high) {
    return value >= low && value <= high;  // false for NaN
  };
  constexpr float kLargest = std::numeric_limits<float>::max();
  MIXTRAL_TRY(require(within(options.temperature, 0, kLargest), "temperature", options.temperature,
                      "0 or more"));
  MIXTRAL_TRY(require(within(options.top_p, 0, 1) && options.top_p > 0, "top_p", options.top_p,
                      "more than 0, at most 1"));
  MIXTRAL_TRY(require(within(options.min_p, 0, 1) && options.min_p < 1, "min_p", options.min_p,
                      "at least 0, less than 1"));
  MIXTRAL_TRY(
      require(within(options.repetition_penalty, 0, kLargest) && options.repetition_penalty > 0,
              "repetition_penalty", options.repetition_penalty, "more than 0"));
  MIXTRAL_TRY(require(within(options.frequency_penalty, -2, 2), "frequency_penalty",
                      options.frequency_penalty, "-2 to 2"));
  MIXTRAL_TRY(require(within(options.presence_penalty, -2, 2), "presence_penalty",
                      options.presence_penalty, "-2 to 2"));
  for (const auto& [id, bias] : options.logit_bias) {
    if (id < 0 || static_cast<size_t>(id) >= vocab_size) {
      return fail(ErrorCode::kBadInput, "logit_bias: token id {}, expected 0 to {}", id,
                  vocab_size - 1);
    }
    MIXTRAL_TRY(require(within(bias, -kMaxBias, kMaxBias), "logit_bias", bias, "-1000 to 1000"));
  }
  if (options.n_logprobs && *options.n_logprobs > vocab_size) {
    return fail(ErrorCode::kBadInput, "logprobs: {}, expected at most the {} tokens there are",
                *options.n_logprobs, vocab_size);
  }
  return {};
}

Sampler::Sampler(SamplingOptions options, size_t vocab_size)
    : options_(std::move(options)), rng_(options_.seed) {
  candidates_.reserve(vocab_size);
}

void Sampler::observe(int32_t id, bool generated) { answer_counts_[id] += generated ? 1 : 0; }

Result<SampledToken> Sampler::sample(std::span<const float> logits, TokenMask allowed) {
  MIXTRAL_TRY(const size_t largest, find_largest(logits));
  const auto allows_some = [](uint64_t word) { return word != 0; };
  if (!allowed.empty() && std::none_of(allowed.begin(), allowed.end(), allows_some)) {
    return fail(ErrorCode::kBadInput, "no token is allowed to come next");
  }
  const bool unchanged = options_.logit_bias.empty() && options_.repetition_penalty == 1.0f &&
                         options_.frequency_penalty == 0.0f && options_.presence_penalty == 0.0f;
  const bool is_largest = options_.temperature == 0.0f && unchanged && allows(allowed, largest);
  SampledToken token;
  token.id = is_largest ? static_cast<int32_t>(largest) : choose(logits, allowed);
  if (options_.n_logprobs) {
    MIXTRAL_TRY(report_logprobs(logits, *options_.n_logprobs, logprobs_, token));
  }
  return token;
}

bool Sampler::larger(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

// candidates_ = every allowed token with its logit after bias and penalties.
void Sampler::adjust(std::span<const float> logits, TokenMask allowed) {
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    candidates_.push_back({static_cast<int32_t>(i), logits[i], 0});
  }
  for (const auto& [id, bias] : options_.logit_bias) candidates_[id].logit += bias;
  const double repetition = options_.repetition_penalty;
  for (const auto& [id, count] : answer_counts_) {
    double& logit = candidates_[id].logit;
    logit = logit > 0 ? logit / repetition : logit * repetition;
    logit -= count * static_cast<double>(options_.frequency_penalty);
    if (count > 0) logit -= static_cast<double>(options_.presence_penalty);
  }
  if (allowed.empty()) return;
  std::erase_if(candidates_, [&](const Candidate& c) { return !allows(allowed, c.id); });
}

// Leaves the n largest candidates, in any order.
void Sampler::keep_largest(size_t n) {
  if (n >= candidates_.size()) return;
  std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(n) - 1,
                   candidates_.end(), larger);
  candidates_.resize(n);
}

// Leaves the fewest candidates, largest first, that together reach top_p of the probability. Finds
// and sorts only about as many as it takes.
void Sampler::keep_nucleus() {
  double total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  const double wanted = options_.top_p * total;
  double sum = 0;
  size_t n_kept = 0;
  for (size_t n_sorted = 0; sum < wanted && n_kept < candidates_.size();) {
    const size_t n = std::min(candidates_.size(), std::max<size_t>(64, 8 * n_sorted));
    const auto first = candidates_.begin() + static_cast<ptrdiff_t>(n_sorted);
    const auto end = candidates_.begin() + static_cast<ptrdiff_t>(n);
    std::nth_element(first, end - 1, candidates_.end(), larger);
    std::sort(first, end, larger);
    n_sorted = n;
    while (sum < wanted && n_kept < n_sorted) sum += candidates_[n_kept++].weight;
  }
  candidates_.resize(n_kept);
}

// Walks over what is left in the order of the ids, so that nothing has to be sorted by logit.
int32_t Sampler::draw() {
  const auto by_id = [](const Candidate& a, const Candidate& b) { return a.id < b.id; };
  if (!std::is_sorted(candidates_.begin(), candidates_.end(), by_id)) {
    std::sort(candidates_.begin(), candidates_.end(), by_id);
  }
  double total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  const double point = rng_.uniform() * total;
  double sum = 0;
  int32_t last_possible = candidates_.front().id;
  for (const Candidate& candidate : candidates_) {
    if (candidate.weight == 0) continue;
    sum += candidate.weight;
    last_possible = candidate.id;
    if (sum > point) break;
  }
  return last_possible;
}

int32_t Sampler::choose(std::span<const float> logits, TokenMask allowed) {
  adjust(logits, allowed);
  const auto largest = std::min_element(candidates_.begin(), candidates_.end(), larger);
  if (options_.temperature == 0.0f) return largest->id;

  const double max = largest->logit;
  if (options_.top_k > 0) keep_largest(options_.top_k);
  for (Candidate& candidate : candidates_) {
    candidate.weight = std::exp((candidate.logit - max) / options_.temperature);
  }
  if (options_.top_p < 1.0f) keep_nucleus();
  // The largest has weight 1, so a weight is the ratio that min_p speaks of.
  if (options_.min_p > 0.0f) {
    std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < options_.min_p; });
  }
  return draw();
}

Status report_logprobs(std::span<const float> logits, size_t n_top,
                       std::vector<TokenLogprob>& scratch, SampledToken& token) {
  MIXTRAL_TRY(const size_t largest, find_largest(logits));
  const double max = logits[largest];
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - max);
  const double log_sum = max + std::log(sum);
  token.logprob = logits[static_cast<size_t>(token.id)] - log_sum;
  if (n_top == 0) return {};

  const auto larger = [](const TokenLogprob& a, const TokenLogprob& b) {
    return a.logprob > b.logprob || (a.logprob == b.logprob && a.id < b.id);
  };
  scratch.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    scratch.push_back({static_cast<int32_t>(i), logits[i]});
  }
  const auto end = scratch.begin() + static_cast<ptrdiff_t>(std::min(n_top, scratch.size()));
  std::partial_sort(scratch.begin(), end, scratch.end(), larger);
  token.top.assign(scratch.begin(), end);
  for (TokenLogprob& top : token.top) top.logprob -= log_sum;
  return {};
}

}  // namespace mixtral
