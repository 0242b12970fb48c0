#include "grammar/token_masks.h"

#include <algorithm>

namespace mixtral {
namespace {

constexpr uint32_t kNoMask = UINT32_MAX;
// A mask may cost this much: 100 times what masks of JSON cost. Tokens not looked at by then are
// not allowed; those of a single byte, with which everything can be spelled, come first.
constexpr uint64_t kMaxWork = 4'000'000;
constexpr size_t kMaxGrowthBytes = size_t{16} << 20;

}  // namespace

size_t TokenMasks::KeyHash::operator()(const std::vector<uint32_t>& key) const {
  uint64_t hash = 0;
  for (const uint32_t word : key) hash = hash_with(hash, word);
  return hash;
}

TokenMasks::TokenMasks(const GrammarRules& rules, const TokenVocabulary& vocabulary)
    : vocabulary_(vocabulary),
      automaton_(rules, vocabulary.max_token_bytes()),
      path_(vocabulary.max_token_bytes() + 1) {}

std::span<const uint64_t> TokenMasks::allowed(StateId state) {
  if (state >= mask_of_state_.size()) mask_of_state_.resize(automaton_.n_states(), kNoMask);
  if (mask_of_state_[state] == kNoMask) {
    const uint32_t mask = find_or_compute(state);
    mask_of_state_[state] = mask;
  }
  return {masks_[mask_of_state_[state]].get(), vocabulary_.n_mask_words()};
}

uint32_t TokenMasks::find_or_compute(StateId state) {
  std::vector<uint32_t> key;
  for (const uint32_t depth : depths_) {
    automaton_.mask_key(state, depth, key);
    const auto found = mask_by_key_.find(key);
    if (found != mask_by_key_.end()) return found->second;
  }
  const size_t n_words = vocabulary_.n_mask_words();
  masks_.push_back(std::make_unique<uint64_t[]>(n_words));
  const uint32_t depth = compute(state, {masks_.back().get(), n_words});
  automaton_.mask_key(state, depth, key);
  size_bytes_ += (n_words + 8) * sizeof(uint64_t) + key.size() * sizeof(uint32_t);
  const auto place = std::lower_bound(depths_.begin(), depths_.end(), depth);
  if (place == depths_.end() || *place != depth) depths_.insert(place, depth);
  const auto mask = static_cast<uint32_t>(masks_.size() - 1);
  mask_by_key_.emplace(std::move(key), mask);
  return mask;
}

void TokenMasks::set_tokens(const TokenVocabulary::Node& node, std::span<uint64_t> mask) const {
  for (const int32_t token : vocabulary_.tokens(node)) {
    mask[static_cast<size_t>(token) / 64] |= uint64_t{1} << (token % 64);
  }
}

uint32_t TokenMasks::compute(StateId state, std::span<uint64_t> mask) {
  if (automaton_.accepts(state)) {
    for (const int32_t id : vocabulary_.end_ids()) {
      mask[static_cast<size_t>(id) / 64] |= uint64_t{1} << (id % 64);
    }
  }
  const auto tree = vocabulary_.tree();
  for (size_t i = 0; i < tree.size(); i = tree[i].skip) {
    if (automaton_.next(state, tree[i].byte) != kDeadState) set_tokens(tree[i], mask);
  }
  const uint64_t work_limit = automaton_.work() + kMaxWork;
  const size_t bytes_limit = automaton_.size_bytes() + kMaxGrowthBytes;
  uint32_t lowest = automaton_.lowest_frame(state);
  path_[0] = state;
  for (size_t i = 0; i < tree.size();) {
    const TokenVocabulary::Node& node = tree[i];
    const StateId from = path_[node.depth];
    const StateId to = automaton_.next(from, node.byte);
    lowest = std::min(lowest, automaton_.lowest_frame(from));
    if (to == kDeadState) {
      i = node.skip;
      continue;
    }
    if (automaton_.work() > work_limit || automaton_.size_bytes() > bytes_limit) break;
    set_tokens(node, mask);
    path_[node.depth + 1u] = to;
    ++i;
  }
  const uint32_t highest = automaton_.highest_frame(state);
  return lowest > highest ? 1 : highest - lowest + 1;
}

StateId TokenMasks::after(StateId state, int32_t token) {
  const std::string_view text = vocabulary_.bytes(token);
  if (text.empty()) return kDeadState;
  for (size_t i = 0; i < text.size() && state != kDeadState; ++i) {
    state = automaton_.next(state, static_cast<uint8_t>(text[i]));
  }
  return state;
}

}  // namespace mixtral
