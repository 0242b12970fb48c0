#include "grammar/token_vocabulary.h"

#include <algorithm>
#include <array>

#include "text/vocabulary.h"

namespace mixtral {
namespace {

// Longer tokens are none that a grammar needs; depths fit into 16 bits.
constexpr size_t kMaxTokenBytes = 4096;

// Byte tokens are there for what no piece spells. One whose byte a piece spells too is never
// needed, and a blank of its own would not be the leading one that decoders drop.
void leave_out_spelled_bytes(const Tokenizer& tokenizer, std::vector<std::string>& texts) {
  std::array<int32_t, 256> byte_tokens;
  byte_tokens.fill(-1);
  std::array<bool, 256> is_spelled{};
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].size() != 1) continue;
    const auto byte = static_cast<uint8_t>(texts[i][0]);
    if (byte_of_piece(tokenizer.piece(static_cast<int32_t>(i)))) {
      byte_tokens[byte] = static_cast<int32_t>(i);
    } else {
      is_spelled[byte] = true;
    }
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    if (is_spelled[byte] && byte_tokens[byte] >= 0) {
      texts[static_cast<size_t>(byte_tokens[byte])].clear();
    }
  }
}

std::vector<std::string> texts_of(const Tokenizer& tokenizer) {
  std::vector<std::string> texts(tokenizer.vocab_size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    const auto ends = tokenizer.end_ids();
    const bool is_text = !tokenizer.is_control(id) && tokenizer.unk_id() != id &&
                         std::find(ends.begin(), ends.end(), id) == ends.end();
    if (is_text) texts[i] = tokenizer.token_bytes(id);
  }
  leave_out_spelled_bytes(tokenizer, texts);
  return texts;
}

}  // namespace

TokenVocabulary::TokenVocabulary(const Tokenizer& tokenizer)
    : TokenVocabulary(texts_of(tokenizer), tokenizer.end_ids()) {}

TokenVocabulary::TokenVocabulary(std::span<const std::string> bytes_by_id,
                                 std::span<const int32_t> end_ids) {
  for (const int32_t id : end_ids) {
    if (id >= 0 && static_cast<size_t>(id) < bytes_by_id.size()) end_ids_.push_back(id);
  }
  build(bytes_by_id);
}

void TokenVocabulary::build(std::span<const std::string> bytes_by_id) {
  for (const std::string& text : bytes_by_id) {
    bytes_begin_.push_back(bytes_.size());
    const auto id = static_cast<int32_t>(bytes_begin_.size() - 1);
    if (text.empty() || text.size() > kMaxTokenBytes || is_end(id)) continue;
    bytes_ += text;
    tokens_.push_back(id);
    max_token_bytes_ = std::max(max_token_bytes_, text.size());
    if (text.size() == 1) single_bytes_.add(static_cast<uint8_t>(text[0]));
  }
  bytes_begin_.push_back(bytes_.size());
  std::sort(tokens_.begin(), tokens_.end(), [&](int32_t a, int32_t b) {
    const std::string_view left = bytes(a), right = bytes(b);
    return left != right ? left < right : a < b;
  });

  std::vector<uint32_t> path;  // nodes from the root to the current token
  std::string_view before;
  const auto close = [&](size_t depth) {
    for (; path.size() > depth; path.pop_back()) {
      tree_[path.back()].skip = static_cast<uint32_t>(tree_.size());
    }
  };
  for (uint32_t i = 0; i < tokens_.size(); ++i) {
    const std::string_view text = bytes(tokens_[i]);
    const auto parting = std::mismatch(before.begin(), before.end(), text.begin(), text.end());
    close(static_cast<size_t>(parting.first - before.begin()));
    for (size_t at = path.size(); at < text.size(); ++at) {
      path.push_back(static_cast<uint32_t>(tree_.size()));
      tree_.push_back({0, i, 0, static_cast<uint16_t>(at), static_cast<uint8_t>(text[at])});
    }
    ++tree_[path.back()].n_tokens;
    before = text;
  }
  close(0);
}

std::string_view TokenVocabulary::bytes(int32_t id) const {
  if (id < 0 || static_cast<size_t>(id) + 1 >= bytes_begin_.size()) return {};
  const size_t begin = bytes_begin_[static_cast<size_t>(id)];
  return std::string_view(bytes_).substr(begin, bytes_begin_[static_cast<size_t>(id) + 1] - begin);
}

bool TokenVocabulary::is_end(int32_t id) const {
  return std::find(end_ids_.begin(), end_ids_.end(), id) != end_ids_.end();
}

}  // namespace mixtral
