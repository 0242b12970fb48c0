// Guesses that a text repeats itself: what came after the same last tokens before comes again.
#pragma once

#include "engine/drafter.h"

namespace mixtral {

/// Finds the longest match of 2 to kMaxEvidence last tokens, the latest of equally long ones; its
/// length is the evidence. Every token costs a chain of at most 32 places that end with the same
/// two; memory grows with the text, by doubling.
class NgramDrafter final : public Drafter {
 public:
  DraftOffer look(std::span<const int32_t> ids, size_t max_tokens) override;
  void draft(std::span<const int32_t> ids, size_t n_tokens, std::vector<int32_t>& tokens) override;

 private:
  void index(std::span<const int32_t> ids);
  void grow(std::span<const int32_t> ids);
  void add(std::span<const int32_t> ids, size_t place);
  size_t slot(std::span<const int32_t> ids, size_t place) const;

  // Of each hash of two tokens the last place where the second of them stands, and from there the
  // one before with the same hash; -1: none.
  std::vector<int32_t> last_, before_;
  size_t next_ = 0;  // where the guesses begin
};

}  // namespace mixtral
