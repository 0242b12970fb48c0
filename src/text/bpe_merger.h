// Byte-pair merges, the part that SentencePiece and GPT-2 tokenizers share: neighbouring symbols
// become one, best pair first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace mixtral {

/// Ranks are below this; with 40 bits for the position they share a 64-bit number.
inline constexpr uint32_t kMaxMergeRank = uint32_t{1} << 24;

/// "`left` next to `right` becomes `result`". Lower ranks are applied first.
struct BpeMerge {
  int32_t left, right;
  uint32_t rank;  ///< below kMaxMergeRank
  int32_t result;
  bool passing =
      false;  ///< `result` only leads to longer symbols; left at the end, it splits again
};

/// Merges by their pair. Immutable. Sorted rather than hashed, so that no chosen vocabulary can
/// make a look-up slow.
class BpeMergeTable {
 public:
  BpeMergeTable() = default;
  /// Of several merges of one pair the one of lowest rank counts. Symbols are not negative.
  explicit BpeMergeTable(std::vector<BpeMerge> merges);

  /// nullptr if the pair does not merge.
  const BpeMerge* find(int32_t left, int32_t right) const;

 private:
  std::vector<BpeMerge> merges_;  // by left, then right
  std::vector<size_t> first_of_;  // per left symbol up to kDenseSymbols: its first merge
};

/// Applies a table to sequences of symbols. Keeps its scratch between calls: one per thread.
class BpeMerger {
 public:
  /// `table` must outlive this.
  explicit BpeMerger(const BpeMergeTable& table) : table_(table) {}
  /// Replaces pairs in `symbols` until none merges: always the pair of lowest rank, the leftmost of
  /// equals. O(n log n).
  void apply(std::vector<int32_t>& symbols);

 private:
  /// A pair that merges. Ordered by `order`, which holds the rank and below it the position of the
  /// left symbol: one comparison, and no more than 16 bytes to move through the heap.
  struct Candidate {
    uint64_t order;
    const BpeMerge* merge;
    size_t left() const;
  };
  static bool worse(const Candidate& a, const Candidate& b) { return a.order > b.order; }
  /// Adds the pair whose left symbol is at `left` to the queue, if it merges; not yet as a heap.
  bool add_candidate(std::span<const int32_t> symbols, size_t left);
  void split_passing(std::vector<int32_t>& symbols) const;

  const BpeMergeTable& table_;
  std::vector<Candidate> queue_;  // a heap
  std::vector<size_t> previous_, next_;
  std::unordered_map<int32_t, BpeMerge> passing_;  // by result, the last one found possible
};

}  // namespace mixtral
