#include "text/pre_tokenizer.h"

#include "text/unicode.h"
#include "text/utf8.h"

namespace mixtral {
namespace {

enum class Kind { kEnd, kLetter, kNumber, kSpace, kOther };

struct Next {
  Kind kind;
  size_t size;
};

Next next_character(std::string_view text) {
  if (text.empty()) return {Kind::kEnd, 0};
  const Utf8Character character = first_utf8_character(text);
  if (character.kind != Utf8Character::Kind::kValid) return {Kind::kOther, 1};
  const char32_t c = character.code_point;
  const Kind kind = is_letter(c)        ? Kind::kLetter
                    : is_white_space(c) ? Kind::kSpace
                    : is_number(c)      ? Kind::kNumber
                                        : Kind::kOther;
  return {kind, character.size};
}

/// Bytes of 's, 't, 're, 've, 'm, 'll or 'd at the start of `text`, else 0.
size_t contraction_size(std::string_view text) {
  for (const std::string_view ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
    if (text.starts_with(ending)) return ending.size();
  }
  return 0;
}

/// Bytes of the white space at the start of `text` that form a word: all of it at the end of the
/// text; before something else all but the last character, which that may take, but at least one.
size_t space_size(std::string_view text) {
  size_t size = 0;
  size_t last = 0;
  while (true) {
    const Next next = next_character(text.substr(size));
    if (next.kind == Kind::kEnd) return size;
    if (next.kind != Kind::kSpace) return size > last ? size - last : size;
    last = next.size;
    size += last;
  }
}

/// Bytes of the first word of `text` by GPT-2's pattern.
size_t gpt2_word_size(std::string_view text) {
  if (const size_t size = contraction_size(text)) return size;
  size_t size = text.front() == ' ' ? 1 : 0;
  const Kind kind = next_character(text.substr(size)).kind;
  if (kind == Kind::kSpace || kind == Kind::kEnd) return space_size(text);
  while (true) {
    const Next next = next_character(text.substr(size));
    if (next.kind != kind) return size;
    size += next.size;
  }
}

void split_gpt2(std::string_view text, FunctionRef<void(std::string_view)> on_word) {
  while (!text.empty()) {
    const size_t size = gpt2_word_size(text);
    on_word(text.substr(0, size));
    text.remove_prefix(size);
  }
}

}  // namespace

std::optional<PreTokenizer> pre_tokenizer_from_name(std::string_view name) {
  for (const std::string_view known : {"gpt-2", "gpt2", "default"}) {
    if (name == known) return PreTokenizer::kGpt2;
  }
  for (const std::string_view known : {"smollm", "starcoder", "refact", "codeshell"}) {
    if (name == known) return PreTokenizer::kGpt2SingleDigits;
  }
  return std::nullopt;
}

void split_words(PreTokenizer kind, std::string_view text,
                 FunctionRef<void(std::string_view)> on_word) {
  if (kind == PreTokenizer::kGpt2) return split_gpt2(text, on_word);
  size_t begin = 0;
  size_t at = 0;
  while (at < text.size()) {
    const Next next = next_character(text.substr(at));
    if (next.kind == Kind::kNumber) {
      split_gpt2(text.substr(begin, at - begin), on_word);
      on_word(text.substr(at, next.size));
      begin = at + next.size;
    }
    at += next.size;
  }
  split_gpt2(text.substr(begin), on_word);
}

}  // namespace mixtral
