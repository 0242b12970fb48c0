// A vocabulary for models made of random numbers: SentencePiece in form, pieces by rule.
#pragma once

#include <cstddef>

#include "core/result.h"
#include "io/gguf.h"

namespace mixtral {

/// Smallest vocabulary: the special pieces, the bytes and every printable ASCII character.
inline constexpr size_t kMinSyntheticPieces = 3 + 256 + 95;
/// Largest: these and all strings of two to four letters, with and without a space before them.
inline constexpr size_t kMaxSyntheticPieces =
    kMinSyntheticPieces + 27 * (26 + 26 * 26 + 26 * 26 * 26);

/// Adds tokenizer.* keys: <unk>, <s>, </s>, 256 bytes, the printable characters, then short strings
/// of letters, each a shorter piece and one letter more, so that any text tokenises and round
/// trips. Fails with kBadInput outside these bounds.
Status add_synthetic_vocabulary(size_t n_pieces, GgufMetadata& metadata);

}  // namespace mixtral
