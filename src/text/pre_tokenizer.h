// How byte-level tokenizers cut a text into words before any merging: the patterns of known models,
// matched by hand in one pass, so that no text makes them slow.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/function_ref.h"

namespace mixtral {

enum class PreTokenizer {
  /// GPT-2's: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  kGpt2,
  /// Each \p{N} stands alone, GPT-2's pattern cuts what lies between: SmolLM, StarCoder and others.
  kGpt2SingleDigits,
};

inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// By the name in GGUF's `tokenizer.ggml.pre`; nullopt if unknown.
std::optional<PreTokenizer> pre_tokenizer_from_name(std::string_view name);

/// Calls `on_word` with each word in order; together they are the text. Bytes that are not UTF-8
/// count as neither letter, number nor white space. O(n).
void split_words(PreTokenizer kind, std::string_view text,
                 FunctionRef<void(std::string_view word)> on_word);

}  // namespace mixtral
