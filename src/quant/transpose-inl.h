// Turning rows of words into units of sixteen lanes, with the vectors of 16 bytes that every x86-64
// processor has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace mixtral::internal {

using Words4 [[gnu::vector_size(16)]] = uint32_t;
using Halves8 [[gnu::vector_size(16)]] = uint16_t;

inline uint32_t load_word(const std::byte* from) {
  uint32_t word = 0;
  std::memcpy(&word, from, sizeof word);
  return word;
}
inline void store_word(uint32_t word, std::byte* to) { std::memcpy(to, &word, sizeof word); }

template <class Vector>
Vector load_vector(const std::byte* from) {
  Vector vector;
  std::memcpy(&vector, from, sizeof vector);
  return vector;
}
template <class Vector>
void store_vector(Vector vector, std::byte* to) {
  std::memcpy(to, &vector, sizeof vector);
}

/// out[16 * word + row] = rows[row][word] ^ kFlip for kWords words, a multiple of four, of 16 rows.
template <size_t kWords, uint32_t kFlip>
void transpose_words(const std::byte* const (&rows)[16], std::byte* out) {
  static_assert(kWords % 4 == 0);
  constexpr Words4 kFlips = {kFlip, kFlip, kFlip, kFlip};
  for (size_t row = 0; row < 16; row += 4) {
    for (size_t word = 0; word < kWords; word += 4) {
      const auto a = load_vector<Words4>(rows[row] + 4 * word);
      const auto b = load_vector<Words4>(rows[row + 1] + 4 * word);
      const auto c = load_vector<Words4>(rows[row + 2] + 4 * word);
      const auto d = load_vector<Words4>(rows[row + 3] + 4 * word);
      const Words4 ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5) ^ kFlips;
      const Words4 cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5) ^ kFlips;
      const Words4 ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7) ^ kFlips;
      const Words4 cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7) ^ kFlips;
      std::byte* to = out + 64 * word + 4 * row;
      store_vector<Words4>(__builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5), to);
      store_vector<Words4>(__builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7), to + 64);
      store_vector<Words4>(__builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5), to + 128);
      store_vector<Words4>(__builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7), to + 192);
    }
  }
}

/// Each unit of 16 words becomes the 16 low halves, then the 16 high halves of these words.
inline void part_halves(std::byte* units, size_t n_units) {
  for (size_t unit = 0; unit < n_units; ++unit, units += 64) {
    const auto a = load_vector<Halves8>(units), b = load_vector<Halves8>(units + 16);
    const auto c = load_vector<Halves8>(units + 32), d = load_vector<Halves8>(units + 48);
    store_vector<Halves8>(__builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14), units);
    store_vector<Halves8>(__builtin_shufflevector(c, d, 0, 2, 4, 6, 8, 10, 12, 14), units + 16);
    store_vector<Halves8>(__builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15), units + 32);
    store_vector<Halves8>(__builtin_shufflevector(c, d, 1, 3, 5, 7, 9, 11, 13, 15), units + 48);
  }
}

}  // namespace mixtral::internal
