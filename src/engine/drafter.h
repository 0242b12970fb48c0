// Guesses at how a text goes on, for the model to check several of in one step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mixtral {

/// What a drafter could guess, before it does.
struct DraftOffer {
  size_t n_tokens = 0;           ///< at most
  size_t evidence = 0;           ///< how much speaks for the first of them, up to kMaxEvidence
  double seconds_before = 0;     ///< that it takes to get ready, in all
  double seconds_per_token = 0;  ///< that a guess takes; 0: next to nothing
};

inline constexpr size_t kMaxEvidence = 8;

/// Of one sequence. Not thread-safe.
class Drafter {
 public:
  virtual ~Drafter() = default;
  /// What could come after `ids`, up to `max_tokens` of it. Between two calls `ids` only grows.
  virtual DraftOffer look(std::span<const int32_t> ids, size_t max_tokens) = 0;
  /// Puts up to `n_tokens` guesses into `tokens`, for the `ids` of the last look(). No guess is
  /// ever wrong to make: it costs its row in the step.
  virtual void draft(std::span<const int32_t> ids, size_t n_tokens,
                     std::vector<int32_t>& tokens) = 0;
};

}  // namespace mixtral
