// How well a model predicts a text: perplexity = exp(mean negative log-likelihood of a token).
#pragma once

#include <cstdint>
#include <span>

#include "core/function_ref.h"
#include "core/progress.h"
#include "core/result.h"
#include "engine/engine.h"
#include "eval/log_probs.h"
#include "eval/windows.h"

namespace mixtral {

/// A token that was to be predicted, and what the model said before it came.
struct ScoredToken {
  size_t window = 0, position = 0;  ///< where it stands
  int32_t id = 0;
  std::span<const float> logits;  ///< of the position before
};

/// Reads every window and calls `on_token` for each scored token, in order. An error that it
/// returns ends the call. The engine's context must have room for a window.
Status score_windows(Engine& engine, const Windows& windows,
                     FunctionRef<Status(const ScoredToken&)> on_token, Progress* progress);

/// Adds up over the tokens scored.
class Perplexity {
 public:
  /// `n_bytes` of text that the token stands for. Returns its negative log-likelihood.
  double add(const ScoredToken& token, size_t n_bytes);

  size_t n_tokens() const { return nll_.n(); }
  uint64_t n_bytes() const { return n_bytes_; }
  /// Mean negative log-likelihood of a token, in nats.
  Estimate nll() const { return nll_.estimate(); }
  Estimate perplexity() const;
  /// What an ideal coder would need; 0 without bytes.
  double bits_per_byte() const;

 private:
  Mean nll_;
  uint64_t n_bytes_ = 0;
};

}  // namespace mixtral
