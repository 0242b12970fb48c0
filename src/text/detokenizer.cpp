#include "text/detokenizer.h"

#include "text/utf8.h"
#include "text/vocabulary.h"

namespace mixtral {

std::string Detokenizer::push(int32_t id) {
  std::string bytes = tokenizer_->token_bytes(id);
  if (bytes.empty()) return {};
  if (may_strip_ && tokenizer_->piece(id).starts_with(kSpaceMark)) bytes.erase(0, 1);
  may_strip_ = false;
  pending_ += bytes;
  std::string out;
  take_characters(false, out);
  return out;
}

std::string Detokenizer::finish() {
  std::string out;
  take_characters(true, out);
  may_strip_ = false;
  return out;
}

void Detokenizer::take_characters(bool all, std::string& out) {
  const bool each_byte = tokenizer_->broken_utf8() == BrokenUtf8::kEachByte;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Character character = first_utf8_character(rest);
    if (character.kind == Utf8Character::Kind::kValid) {
      out += rest.substr(0, character.size);
    } else if (character.kind == Utf8Character::Kind::kIncomplete && !all) {
      break;
    } else {
      for (size_t i = 0; i < (each_byte ? character.size : 1); ++i) out += kReplacementUtf8;
    }
    rest.remove_prefix(character.size);
  }
  pending_.erase(0, pending_.size() - rest.size());
}

}  // namespace mixtral
