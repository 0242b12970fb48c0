// Steps that the readers of the three file formats share.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/bpe_merger.h"
#include "text/tokenizer_formats.h"
#include "text/vocabulary.h"

namespace mixtral {

/// `left` and `right` as the file spells them, best first in a list.
struct SpelledMerge {
  std::string left, right;
};

/// "a b" as two pieces; fails unless it has exactly one space, within.
Result<SpelledMerge> parse_merge(std::string_view text);

/// Fails, naming the merge, if either part or the result is no piece.
Result<std::vector<BpeMerge>> merges_from_list(const Vocabulary& vocabulary,
                                               std::span<const SpelledMerge> list,
                                               std::string_view where);

/// Makes merges with the same result equal in rank, as pieces of a SentencePiece model have one
/// score however they come about; their ties then fall to the leftmost, as there.
void rank_by_result(const Vocabulary& vocabulary, std::vector<BpeMerge>& merges);

/// Fails, naming `what`, unless `id` is in the vocabulary.
Result<int32_t> check_id(const Vocabulary& vocabulary, int64_t id, std::string_view what,
                         std::string_view where);

/// Fills `traits.end_ids`, each once: eos_id, those that the file names, and the control tokens
/// that models are known to end answers with.
Status add_end_ids(const Vocabulary& vocabulary, std::span<const int64_t> named,
                   std::string_view where, TokenizerTraits& traits);

}  // namespace mixtral
