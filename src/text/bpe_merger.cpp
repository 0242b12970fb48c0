#include "text/bpe_merger.h"

#include <algorithm>
#include <tuple>

namespace mixtral {
namespace {

// Symbols of vocabularies are below this; larger ones stand for characters outside and are rare.
constexpr int32_t kDenseSymbols = 1 << 20;
constexpr int32_t kMergedAway = -1;
constexpr unsigned kPositionBits = 40;
constexpr uint64_t kPositionMask = (uint64_t{1} << kPositionBits) - 1;
constexpr size_t kNowhere = static_cast<size_t>(-1);

bool pair_less(const BpeMerge& a, const BpeMerge& b) {
  return std::tie(a.left, a.right) < std::tie(b.left, b.right);
}

}  // namespace

BpeMergeTable::BpeMergeTable(std::vector<BpeMerge> merges) : merges_(std::move(merges)) {
  std::sort(merges_.begin(), merges_.end(), [](const BpeMerge& a, const BpeMerge& b) {
    return std::tie(a.left, a.right, a.rank) < std::tie(b.left, b.right, b.rank);
  });
  const auto same_pair = [](const BpeMerge& a, const BpeMerge& b) {
    return a.left == b.left && a.right == b.right;
  };
  merges_.erase(std::unique(merges_.begin(), merges_.end(), same_pair), merges_.end());

  size_t i = 0;
  for (int32_t left = 0; i < merges_.size() && left < kDenseSymbols; ++left) {
    first_of_.push_back(i);
    while (i < merges_.size() && merges_[i].left == left) ++i;
  }
  first_of_.push_back(i);
}

const BpeMerge* BpeMergeTable::find(int32_t left, int32_t right) const {
  auto begin = merges_.begin();
  auto end = merges_.end();
  const auto symbol = static_cast<size_t>(left);
  if (symbol + 1 < first_of_.size()) {
    begin += static_cast<ptrdiff_t>(first_of_[symbol]);
    end = merges_.begin() + static_cast<ptrdiff_t>(first_of_[symbol + 1]);
  } else if (!first_of_.empty()) {
    begin += static_cast<ptrdiff_t>(first_of_.back());
  }
  const auto found = std::lower_bound(begin, end, BpeMerge{left, right, 0, 0, false}, pair_less);
  if (found == end || found->left != left || found->right != right) return nullptr;
  return &*found;
}

size_t BpeMerger::Candidate::left() const { return order & kPositionMask; }

bool BpeMerger::add_candidate(std::span<const int32_t> symbols, size_t left) {
  const BpeMerge* merge = table_.find(symbols[left], symbols[next_[left]]);
  if (merge == nullptr) return false;
  if (merge->passing) passing_[merge->result] = *merge;
  queue_.push_back({uint64_t{merge->rank} << kPositionBits | left, merge});
  return true;
}

void BpeMerger::apply(std::vector<int32_t>& symbols) {
  const size_t n = symbols.size();
  if (n < 2) return;
  previous_.resize(n);
  next_.resize(n);
  for (size_t i = 0; i < n; ++i) {
    previous_[i] = i == 0 ? kNowhere : i - 1;
    next_[i] = i + 1 == n ? kNowhere : i + 1;
  }
  queue_.clear();
  passing_.clear();
  for (size_t i = 0; i + 1 < n; ++i) add_candidate(symbols, i);
  std::make_heap(queue_.begin(), queue_.end(), worse);
  const auto consider = [&](size_t left) {
    if (add_candidate(symbols, left)) std::push_heap(queue_.begin(), queue_.end(), worse);
  };

  while (!queue_.empty()) {
    std::pop_heap(queue_.begin(), queue_.end(), worse);
    const size_t left = queue_.back().left();
    const BpeMerge& merge = *queue_.back().merge;
    queue_.pop_back();
    // Symbols only ever grow, so the pair is still there exactly if both symbols are unchanged.
    if (symbols[left] != merge.left) continue;
    const size_t right = next_[left];
    if (right == kNowhere || symbols[right] != merge.right) continue;

    symbols[left] = merge.result;
    symbols[right] = kMergedAway;
    next_[left] = next_[right];
    if (next_[right] != kNowhere) previous_[next_[right]] = left;
    if (previous_[left] != kNowhere) consider(previous_[left]);
    if (next_[left] != kNowhere) consider(left);
  }
  symbols.erase(std::remove(symbols.begin(), symbols.end(), kMergedAway), symbols.end());
  if (!passing_.empty()) split_passing(symbols);
}

void BpeMerger::split_passing(std::vector<int32_t>& symbols) const {
  std::vector<int32_t> result;
  std::vector<int32_t> pending;
  for (const int32_t symbol : symbols) {
    pending.push_back(symbol);
    while (!pending.empty()) {
      const int32_t next = pending.back();
      pending.pop_back();
      const auto parts = passing_.find(next);
      if (parts == passing_.end()) {
        result.push_back(next);
      } else {
        pending.push_back(parts->second.right);
        pending.push_back(parts->second.left);
      }
    }
  }
  symbols = std::move(result);
}

}  // namespace mixtral
