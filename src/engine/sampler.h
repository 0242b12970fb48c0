// From logits to the next token. docs/sampling.md gives the order of the steps and their formulas.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/result.h"
#include "core/rng.h"

namespace mixtral {

struct SamplingOptions {
  float temperature = 0.7f;                           ///< 0: greedy
  size_t top_k = 0;                                   ///< 0: off
  float top_p = 1.0f;                                 ///< (0, 1]; 1: off
  float min_p = 0.0f;                                 ///< [0, 1); 0: off
  float repetition_penalty = 1.0f;                    ///< > 0; 1: off
  float frequency_penalty = 0.0f;                     ///< [-2, 2]
  float presence_penalty = 0.0f;                      ///< [-2, 2]
  std::vector<std::pair<int32_t, float>> logit_bias;  ///< [-1000, 1000]
  uint64_t seed = 0;
  /// How many alternatives to report for each token; without a value no log-probabilities at all.
  std::optional<size_t> n_logprobs;
};
/// Names the option that is out of range.
Status validate(const SamplingOptions& options, size_t vocab_size);

struct TokenLogprob {
  int32_t id;
  double logprob;  ///< natural logarithm, of the model's own distribution (before any option)
};

struct SampledToken {
  int32_t id = 0;
  double logprob = 0;             ///< 0 unless asked for
  std::vector<TokenLogprob> top;  ///< n_logprobs of them, most probable first
};

/// The log-probability of `token`.id under `logits`, and the `n_top` most probable tokens.
/// `scratch` is memory to reuse. Fails as Sampler::sample does.
Status report_logprobs(std::span<const float> logits, size_t n_top,
                       std::vector<TokenLogprob>& scratch, SampledToken& token);

/// A bit for each token, token i in bit i % 64 of word i / 64: set if it may be chosen; bits beyond
/// the vocabulary are 0. Without words every token may.
using TokenMask = std::span<const uint64_t>;

/// The state of one sequence: its random stream and which tokens it has seen. Not thread-safe.
/// The same options, history and logits give the same token. Among equal logits the lower id counts
/// as the larger one, everywhere.
class Sampler {
 public:
  /// `options` must be valid.
  Sampler(SamplingOptions options, size_t vocab_size);

  /// Tells of a token of the prompt or answer, for the penalties.
  void observe(int32_t id, bool generated);
  /// Fails with kDevice if a logit is NaN or infinitely large, or all are infinitely small; with
  /// kBadInput if no token is allowed. Does not observe() its choice.
  Result<SampledToken> sample(std::span<const float> logits, TokenMask allowed = {});

 private:
  struct Candidate {
    int32_t id;
    double logit;
    double weight;  // proportional to its probability
  };
  static bool larger(const Candidate& a, const Candidate& b);
  void adjust(std::span<const float> logits, TokenMask allowed);
  void keep_largest(size_t n);
  void keep_nucleus();
  int32_t draw();
  int32_t choose(std::span<const float> logits, TokenMask allowed);

  SamplingOptions options_;
  Rng rng_;
  std::unordered_map<int32_t, uint32_t> answer_counts_;  // of every token seen; 0: prompt only
  std::vector<Candidate> candidates_;                    // scratch: all tokens, then those left
  std::vector<TokenLogprob> logprobs_;                   // scratch
};

}  // namespace mixtral
