// What the tile instructions do that src/cpu/kernels/matmul_tiles-inl.h uses, after the Intel
// Intrinsics Guide; and macros that put these in their places. For amx_twin.cpp alone, after
// avx512_instructions.h. Where a processor would raise an exception, the twin ends the program.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "core/check.h"

namespace mixtral::cpu::twin {

struct Tile {
  size_t n_rows = 0, row_bytes = 0;
  std::array<std::array<uint8_t, 64>, 16> rows{};
};

inline Tile& tile(size_t index) {
  static thread_local std::array<Tile, 8> tiles;
  MIXTRAL_CHECK(index < tiles.size(), "no such tile register");
  return tiles[index];
}
inline Tile& configured_tile(size_t index) {
  MIXTRAL_CHECK(tile(index).n_rows != 0, "a tile register without configuration");
  return tile(index);
}

inline void load_tile_config(const void* from) {
  std::array<uint8_t, 64> config;
  std::memcpy(config.data(), from, config.size());
  MIXTRAL_CHECK(config[0] == 1, "palette 1 is the one of eight tiles");
  for (size_t i = 1; i < 16; ++i) MIXTRAL_CHECK(config[i] == 0, "reserved bytes are zero");
  for (size_t i = 0; i < 16; ++i) {
    const size_t row_bytes = config[16 + 2 * i] + 256u * config[17 + 2 * i];
    const size_t n_rows = config[48 + i];
    if (i >= 8) {
      MIXTRAL_CHECK(row_bytes == 0 && n_rows == 0, "palette 1 has eight tiles");
      continue;
    }
    MIXTRAL_CHECK(row_bytes <= 64 && n_rows <= 16 && (row_bytes == 0) == (n_rows == 0),
                  "no shape of a tile");
    tile(i) = {n_rows, row_bytes, {}};
  }
}
inline void release_tiles() {
  for (size_t i = 0; i < 8; ++i) tile(i) = {};
}

inline void zero_tile(size_t index) { configured_tile(index).rows = {}; }
inline void load_tile(size_t index, const void* from, size_t stride) {
  Tile& to = configured_tile(index);
  to.rows = {};
  for (size_t row = 0; row < to.n_rows; ++row)
    std::memcpy(to.rows[row].data(), static_cast<const uint8_t*>(from) + row * stride,
                to.row_bytes);
}
inline void store_tile(size_t index, void* to, size_t stride) {
  const Tile& from = configured_tile(index);
  for (size_t row = 0; row < from.n_rows; ++row)
    std::memcpy(static_cast<uint8_t*>(to) + row * stride, from.rows[row].data(), from.row_bytes);
}

// Bytes A of `a` times bytes B of `b`: lane n of row m of the sum gains the products of four bytes
// at a time of row m of `a` and of lane n of the rows of `b`.
template <class A, class B>
void dot_tiles(size_t sum, size_t a, size_t b) {
  Tile& to = configured_tile(sum);
  const Tile &x = configured_tile(a), &y = configured_tile(b);
  MIXTRAL_CHECK(sum != a && sum != b && a != b, "three tiles");
  MIXTRAL_CHECK(to.n_rows == x.n_rows && to.row_bytes == y.row_bytes && x.row_bytes == 4 * y.n_rows,
                "shapes that do not belong together");
  for (size_t m = 0; m < to.n_rows; ++m) {
    std::array<int32_t, 16> lanes;
    std::memcpy(lanes.data(), to.rows[m].data(), 64);
    for (size_t i = 0; i < x.row_bytes; ++i) {
      const int32_t factor = static_cast<A>(x.rows[m][i]);
      for (size_t n = 0; n < y.row_bytes / 4; ++n)
        lanes[n] += factor * static_cast<B>(y.rows[i / 4][4 * n + i % 4]);
    }
    std::memcpy(to.rows[m].data(), lanes.data(), 64);
  }
}

}  // namespace mixtral::cpu::twin

#undef _tile_zero
#undef _tile_loadd
#undef _tile_stream_loadd
#undef _tile_stored
#undef _tile_dpbssd
#undef _tile_dpbsud
#define _tile_loadconfig(from) MIXTRAL_TWIN::load_tile_config(from)
#define _tile_release() MIXTRAL_TWIN::release_tiles()
#define _tile_zero(index) MIXTRAL_TWIN::zero_tile(index)
#define _tile_loadd(index, from, stride) MIXTRAL_TWIN::load_tile(index, from, stride)
#define _tile_stream_loadd(index, from, stride) MIXTRAL_TWIN::load_tile(index, from, stride)
#define _tile_stored(index, to, stride) MIXTRAL_TWIN::store_tile(index, to, stride)
#define _tile_dpbssd(sum, a, b) (MIXTRAL_TWIN::dot_tiles<int8_t, int8_t>(sum, a, b))
#define _tile_dpbsud(sum, a, b) (MIXTRAL_TWIN::dot_tiles<int8_t, uint8_t>(sum, a, b))
