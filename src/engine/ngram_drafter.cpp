#include "engine/ngram_drafter.h"

#include <algorithm>

namespace mixtral {
namespace {

constexpr size_t kFewestSlots = 256, kMaxChain = 32;

// How many tokens up to `place` are those up to the end of `ids`.
size_t match_length(std::span<const int32_t> ids, size_t place) {
  size_t n = 0;
  while (n < kMaxEvidence && n <= place && ids[place - n] == ids[ids.size() - 1 - n]) ++n;
  return n;
}

}  // namespace

size_t NgramDrafter::slot(std::span<const int32_t> ids, size_t place) const {
  const uint64_t pair =
      uint64_t{static_cast<uint32_t>(ids[place - 1])} << 32 | static_cast<uint32_t>(ids[place]);
  return (pair * 0x9E3779B97F4A7C15u >> 32) & (last_.size() - 1);
}

void NgramDrafter::add(std::span<const int32_t> ids, size_t place) {
  int32_t& last = last_[slot(ids, place)];
  before_[place] = last;
  last = static_cast<int32_t>(place);
}

// Twice as many slots as places, so that few chains hold strangers.
void NgramDrafter::grow(std::span<const int32_t> ids) {
  size_t n_slots = std::max(kFewestSlots, last_.size());
  while (n_slots < 2 * ids.size()) n_slots *= 2;
  last_.assign(n_slots, -1);
  for (size_t place = 1; place < before_.size(); ++place) add(ids, place);
}

// All places but the last token's own, which would match itself.
void NgramDrafter::index(std::span<const int32_t> ids) {
  if (last_.size() < ids.size()) grow(ids);
  size_t place = before_.size();
  before_.resize(std::max(before_.size(), ids.size() - 1), -1);
  for (place = std::max<size_t>(place, 1); place + 1 < ids.size(); ++place) add(ids, place);
}

DraftOffer NgramDrafter::look(std::span<const int32_t> ids, size_t max_tokens) {
  if (ids.size() < 3) return {};
  index(ids);
  size_t longest = 1;
  int32_t place = last_[slot(ids, ids.size() - 1)];
  for (size_t i = 0; i < kMaxChain && place >= 0 && longest < kMaxEvidence; ++i) {
    const size_t n = match_length(ids, static_cast<size_t>(place));
    if (n > longest) {
      longest = n;
      next_ = static_cast<size_t>(place) + 1;
    }
    place = before_[static_cast<size_t>(place)];
  }
  if (longest < 2) return {};
  return {max_tokens, longest, 0, 0};
}

// Where the text ends, what was guessed goes on: a text that goes round in a circle.
void NgramDrafter::draft(std::span<const int32_t> ids, size_t n_tokens,
                         std::vector<int32_t>& tokens) {
  tokens.clear();
  for (size_t place = next_; tokens.size() < n_tokens; ++place) {
    tokens.push_back(place < ids.size() ? ids[place] : tokens[place - ids.size()]);
  }
}

}  // namespace mixtral
