// The bytes of every token, as a tree: tokens that begin alike share a path.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "grammar/byte_set.h"
#include "text/tokenizer.h"

namespace mixtral {

/// Immutable and thread-safe; one for a model. Control tokens, the unknown token and tokens without
/// bytes stand for no text and are in no mask; end tokens are listed apart.
class TokenVocabulary {
 public:
  /// A node of the tree; nodes stand in the order of a walk, each before its children.
  struct Node {
    uint32_t skip;         ///< the first node that is not below this one
    uint32_t first_token;  ///< place in tokens()
    uint32_t n_tokens;     ///< spelled by the path from the root to this node
    uint16_t depth;        ///< bytes before this one
    uint8_t byte;
  };

  explicit TokenVocabulary(const Tokenizer& tokenizer);
  /// The same of given bytes, "" for tokens that stand for no text.
  TokenVocabulary(std::span<const std::string> bytes_by_id, std::span<const int32_t> end_ids);

  size_t size() const { return bytes_begin_.size() - 1; }
  /// The words of a mask with a bit for each token: token t is bit t % 64 of word t / 64.
  size_t n_mask_words() const { return (size() + 63) / 64; }
  /// Empty for tokens that stand for no text, and beyond the vocabulary.
  std::string_view bytes(int32_t id) const;
  std::span<const int32_t> end_ids() const { return end_ids_; }
  bool is_end(int32_t id) const;
  std::span<const Node> tree() const { return tree_; }
  std::span<const int32_t> tokens(const Node& node) const {
    return std::span(tokens_).subspan(node.first_token, node.n_tokens);
  }
  size_t max_token_bytes() const { return max_token_bytes_; }
  /// Bytes that are tokens by themselves.
  const ByteSet& single_bytes() const { return single_bytes_; }

 private:
  void build(std::span<const std::string> bytes_by_id);

  std::string bytes_;
  std::vector<size_t> bytes_begin_;  // by id, and the end
  std::vector<int32_t> end_ids_;
  std::vector<Node> tree_;
  std::vector<int32_t> tokens_;
  size_t max_token_bytes_ = 0;
  ByteSet single_bytes_;
};

}  // namespace mixtral
