// Activations as the integer kernels read them: chunks of 256 columns, everything about one in one
// place.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mixtral::cpu {

/// Columns of a chunk; the last one of a row may have fewer, a multiple of 32.
inline constexpr size_t kChunkCols = 256;

/// For weights in blocks of 256: one scale. The sums of quants give what minimums and offsets of
/// the weights' codes contribute.
struct alignas(64) ChunkQ8x256 {
  int8_t quants[kChunkCols];  ///< round to nearest even(x / scale), in [-127, 127]
  int16_t pairs[16][2];       ///< per 16 columns: of columns 0, 1 mod 4 and of columns 2, 3 mod 4
  // What is wanted when a block has been multiplied, in one line.
  alignas(64) int16_t sums_16[16];  ///< per 16 columns
  int16_t sums_32[8];               ///< per 32 columns
  int32_t sum;                      ///< of all quants
  float scale;                      ///< max|x| / 127
  /// Per N columns: -256 / N times the sum, with which sums of codes that count from 256 / N begin.
  alignas(64) int16_t starts_8[32];
  int16_t starts_16[16], starts_32[8];
  int16_t eightfold_32[8];     ///< -starts_32
  int32_t starts_from_32[16];  ///< per 16 columns: -32 times the sum
};

/// For weights in blocks of 32: a scale for each.
struct alignas(64) ChunkQ8x32 {
  int8_t quants[kChunkCols];
  int16_t pairs[8][2];   ///< per 32 columns
  float scales[8];       ///< per 32 columns
  float scaled_sums[8];  ///< per 32 columns: scale * sum of quants
  /// Per 32 columns: -8 and -128 times the sum, with which sums of codes that count from there
  /// begin.
  int32_t starts_from_8[8], starts_from_128[8];
  int8_t unused[128];
};

// An odd number of lines: chunks in a row spread over all of a cache.
static_assert(sizeof(ChunkQ8x256) == sizeof(ChunkQ8x32) && sizeof(ChunkQ8x256) % 128 == 64);
inline constexpr size_t kChunkBytes = sizeof(ChunkQ8x256);

}  // namespace mixtral::cpu
