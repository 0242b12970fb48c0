#include "text/tokenizer_parts.h"

#include <algorithm>

#include "io/quoted.h"

namespace mixtral {

Result<SpelledMerge> parse_merge(std::string_view text) {
  const size_t space = text.find(' ');
  if (space == std::string_view::npos || space == 0 || space + 1 == text.size() ||
      text.find(' ', space + 1) != std::string_view::npos) {
    return fail(ErrorCode::kBadInput, "merge {}, expected two pieces with one space between",
                in_quotes(text));
  }
  return SpelledMerge{std::string(text.substr(0, space)), std::string(text.substr(space + 1))};
}

Result<std::vector<BpeMerge>> merges_from_list(const Vocabulary& vocabulary,
                                               std::span<const SpelledMerge> list,
                                               std::string_view where) {
  if (list.size() >= kMaxMergeRank) {
    return fail(ErrorCode::kTooLarge, "{}: {} merges, expected fewer than {}", where, list.size(),
                kMaxMergeRank);
  }
  std::vector<BpeMerge> merges;
  merges.reserve(list.size());
  for (const auto& [left_text, right_text] : list) {
    const auto left = vocabulary.find(left_text);
    const auto right = vocabulary.find(right_text);
    const auto result = vocabulary.find(left_text + right_text);
    if (!left || !right || !result) {
      const std::string missing = !left ? left_text : !right ? right_text : left_text + right_text;
      return fail(ErrorCode::kBadInput, "{}: merge {} of {} and {}: {} is not in the vocabulary",
                  where, merges.size(), in_quotes(left_text), in_quotes(right_text),
                  in_quotes(missing));
    }
    merges.push_back({*left, *right, static_cast<uint32_t>(merges.size()), *result});
  }
  return merges;
}

void rank_by_result(const Vocabulary& vocabulary, std::vector<BpeMerge>& merges) {
  std::vector<uint32_t> best(vocabulary.size(), UINT32_MAX);
  for (const BpeMerge& merge : merges) {
    uint32_t& rank = best[static_cast<size_t>(merge.result)];
    rank = std::min(rank, merge.rank);
  }
  for (BpeMerge& merge : merges) merge.rank = best[static_cast<size_t>(merge.result)];
}

Result<int32_t> check_id(const Vocabulary& vocabulary, int64_t id, std::string_view what,
                         std::string_view where) {
  if (vocabulary.contains(id)) return static_cast<int32_t>(id);
  return fail(ErrorCode::kBadInput, "{}: {} is {}, expected an id below {}, the vocabulary's size",
              where, what, id, vocabulary.size());
}

Status add_end_ids(const Vocabulary& vocabulary, std::span<const int64_t> named,
                   std::string_view where, TokenizerTraits& traits) {
  const auto add = [&](int32_t id) {
    if (std::find(traits.end_ids.begin(), traits.end_ids.end(), id) == traits.end_ids.end())
      traits.end_ids.push_back(id);
  };
  if (traits.eos_id) add(*traits.eos_id);
  for (const int64_t id : named) {
    MIXTRAL_TRY(const int32_t checked, check_id(vocabulary, id, "an end-of-sequence id", where));
    add(checked);
  }
  for (const std::string_view name :
       {"</s>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end|>", "<end_of_turn>"}) {
    const auto id = vocabulary.find(name);
    if (id && vocabulary[*id].type != PieceType::kNormal) add(*id);
  }
  return {};
}

}  // namespace mixtral
