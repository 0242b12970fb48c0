#include "quant/panel.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "core/check.h"
#include "quant/blocks.h"
#include "quant/codes.h"
#include "quant/transpose-inl.h"
#include "quant/unpack.h"

namespace mixtral {
namespace {

using internal::load_word;
using internal::store_word;
using internal::transpose_words;

// Where the block's byte arrays lie that become the planes.
template <class Block>
auto& low_of(Block& block) {
  if constexpr (requires { block.ql; }) {
    return block.ql;
  } else {
    return block.qs;
  }
}
template <class Block>
auto& high_of(Block& block) {
  if constexpr (requires { block.hmask; }) {
    return block.hmask;
  } else {
    return block.qh;
  }
}
// d, then m or dmin if the block has one.
using Heads = std::array<uint16_t, 2>;

template <class Block>
Heads heads_of(const Block& block) {
  if constexpr (requires { block.dmin; }) {
    return {block.d, block.dmin};
  } else if constexpr (requires { block.m; }) {
    return {block.d, block.m};
  } else {
    return {block.d, 0};
  }
}
template <class Block>
void set_heads(const Heads& heads, Block& block) {
  block.d = heads[0];
  if constexpr (requires { block.dmin; }) block.dmin = heads[1];
  if constexpr (requires { block.m; }) block.m = heads[1];
}

// Q5_0 and Q5_1 keep bit 4 of code i in bit i of a 32-bit number. In the panel it is bit i / 4 of
// byte i % 4, so that one shift brings the bits of four neighbours to the same place in each byte.
// Both ways step by step: bits 4j move to bits j, first in pairs, then in groups of four and eight.
uint32_t regroup_bits(uint32_t stored) {
  uint32_t grouped = 0;
  for (unsigned byte = 0; byte < 4; ++byte) {
    uint32_t bits = stored >> byte & 0x11111111u;
    bits = (bits | bits >> 3) & 0x03030303u;
    bits = (bits | bits >> 6) & 0x000F000Fu;
    bits = (bits | bits >> 12) & 0x000000FFu;
    grouped |= bits << (8 * byte);
  }
  return grouped;
}
uint32_t restore_bits(uint32_t grouped) {
  uint32_t stored = 0;
  for (unsigned byte = 0; byte < 4; ++byte) {
    uint32_t bits = grouped >> (8 * byte) & 0x000000FFu;
    bits = (bits | bits << 12) & 0x000F000Fu;
    bits = (bits | bits << 6) & 0x03030303u;
    bits = (bits | bits << 3) & 0x11111111u;
    stored |= bits << byte;
  }
  return stored;
}

template <class Block>
constexpr bool kHasBitFields = std::is_same_v<Block, BlockQ5_0> || std::is_same_v<Block, BlockQ5_1>;
// Codes with a sign have it flipped in the panel, which makes them unsigned: both ways the same.
template <class Block>
constexpr uint32_t kFlipped = std::is_same_v<Block, BlockQ8_0> ? 0x80808080u : 0;

// The small integers of the sub-blocks, one byte each.
using Scales = std::array<uint8_t, 16>;

template <class Block>
Scales split_scales(const Block& block) {
  Scales out;
  if constexpr (std::is_same_v<Block, BlockQ4_K> || std::is_same_v<Block, BlockQ5_K>) {
    const KScales k = k_scales(block.scales);
    std::memcpy(out.data(), k.scales.data(), 8);
    std::memcpy(out.data() + 8, k.mins.data(), 8);
  } else if constexpr (std::is_same_v<Block, BlockQ3_K>) {
    std::memcpy(out.data(), q3_scales(block.scales).data(), 16);
  } else if constexpr (std::is_same_v<Block, BlockIQ4_XS>) {
    std::memcpy(out.data(), iq4_scales(block).data(), 8);
  } else {
    std::memcpy(out.data(), block.scales, 16);
  }
  return out;
}
template <class Block>
void join_scales(const Scales& scales, Block& block) {
  if constexpr (std::is_same_v<Block, BlockQ4_K> || std::is_same_v<Block, BlockQ5_K>) {
    KScales k;
    std::memcpy(k.scales.data(), scales.data(), 8);
    std::memcpy(k.mins.data(), scales.data() + 8, 8);
    set_k_scales(k, block.scales);
  } else if constexpr (std::is_same_v<Block, BlockQ3_K>) {
    std::array<int8_t, 16> codes;
    std::memcpy(codes.data(), scales.data(), 16);
    set_q3_scales(codes, block.scales);
  } else if constexpr (std::is_same_v<Block, BlockIQ4_XS>) {
    std::array<int8_t, 8> codes;
    std::memcpy(codes.data(), scales.data(), 8);
    set_iq4_scales(codes, block);
  } else {
    std::memcpy(block.scales, scales.data(), 16);
  }
}

template <class Part>
const std::byte* bytes_of(const Part& part) {
  return reinterpret_cast<const std::byte*>(&part);
}

// One of 16 stored rows; missing ones are made of the same zeros again and again.
struct StoredRow {
  const std::byte* begin;
  bool missing;
};
using StoredRows = std::array<StoredRow, kPanelRows>;

alignas(64) constexpr std::array<std::byte, 256> kZeros{};

// The panel of one type of blocks.
template <Type kType, class Block>
struct BlockPanel {
  static constexpr PanelLayout kLayout = panel_layout(kType);
  static_assert(sizeof(Block) <= kZeros.size());

  static size_t head_offset(size_t n_blocks, size_t block, size_t row) {
    return n_blocks * kLayout.body_bytes() + block * kLayout.head_bytes() + 2 * row;
  }

  static void pack(const StoredRows& rows, size_t n_blocks, std::byte* panel) {
    for (size_t b = 0; b < n_blocks; ++b) {
      const Block* blocks[kPanelRows];
      for (size_t row = 0; row < kPanelRows; ++row) {
        const size_t offset = rows[row].missing ? 0 : b * sizeof(Block);
        blocks[row] = reinterpret_cast<const Block*>(rows[row].begin + offset);
      }
      std::byte* body = panel + b * kLayout.body_bytes();
      pack_planes(blocks, body);
      if constexpr (kLayout.n_scales != 0) pack_scales(blocks, body + kLayout.scales_offset());
      pack_heads(blocks, panel + head_offset(n_blocks, b, 0));
    }
  }

  static void unpack(const std::byte* panel, size_t n_blocks, size_t row, std::byte* stored) {
    auto* out = reinterpret_cast<Block*>(stored);
    for (size_t b = 0; b < n_blocks; ++b) {
      const std::byte* body = panel + b * kLayout.body_bytes();
      unpack_planes(body, row, out[b]);
      if constexpr (kLayout.n_scales != 0) {
        Scales scales;
        for (size_t s = 0; s < kLayout.n_scales; ++s)
          scales[s] = static_cast<uint8_t>(body[kLayout.scales_offset() + s * kPanelRows + row]);
        join_scales(scales, out[b]);
      }
      Heads heads;
      for (size_t h = 0; h < kLayout.n_heads; ++h)
        std::memcpy(&heads[h], panel + head_offset(n_blocks, b, row) + 32 * h, 2);
      set_heads(heads, out[b]);
    }
  }

 private:
  static void pack_planes(const Block* const (&blocks)[kPanelRows], std::byte* body) {
    constexpr size_t kLowWords = kLayout.low_bytes / 4 / kLayout.n_parts;
    constexpr size_t kHighWords = kLayout.high_bytes / 4 / kLayout.n_parts;
    for (size_t part = 0; part < kLayout.n_parts; ++part) {
      const std::byte* low[kPanelRows];
      for (size_t row = 0; row < kPanelRows; ++row)
        low[row] = bytes_of(low_of(*blocks[row])) + 4 * kLowWords * part;
      transpose_words<kLowWords, kFlipped<Block>>(low, body + kLayout.low_offset(kLowWords * part));
      if constexpr (kHasBitFields<Block>) {
        for (size_t row = 0; row < kPanelRows; ++row) {
          const uint32_t bits = load_word(bytes_of(blocks[row]->qh));
          store_word(regroup_bits(bits), body + kLayout.high_offset(0) + 4 * row);
        }
      } else if constexpr (kHighWords != 0) {
        const std::byte* high[kPanelRows];
        for (size_t row = 0; row < kPanelRows; ++row)
          high[row] = bytes_of(high_of(*blocks[row])) + 4 * kHighWords * part;
        transpose_words<kHighWords, 0>(high, body + kLayout.high_offset(kHighWords * part));
      }
    }
  }

  static void unpack_planes(const std::byte* body, size_t row, Block& block) {
    auto* low = reinterpret_cast<std::byte*>(&low_of(block));
    for (size_t i = 0; i < kLayout.low_bytes / 4; ++i) {
      const uint32_t word = load_word(body + kLayout.low_offset(i) + 4 * row);
      store_word(word ^ kFlipped<Block>, low + 4 * i);
    }
    if constexpr (kLayout.high_bytes != 0) {
      auto* high = reinterpret_cast<std::byte*>(&high_of(block));
      for (size_t i = 0; i < kLayout.high_bytes / 4; ++i) {
        const uint32_t word = load_word(body + kLayout.high_offset(i) + 4 * row);
        store_word(kHasBitFields<Block> ? restore_bits(word) : word, high + 4 * i);
      }
    }
  }

  static void pack_scales(const Block* const (&blocks)[kPanelRows], std::byte* vectors) {
    for (size_t row = 0; row < kPanelRows; ++row) {
      const Scales scales = split_scales(*blocks[row]);
      for (size_t s = 0; s < kLayout.n_scales; ++s)
        vectors[s * kPanelRows + row] = std::byte{scales[s]};
    }
  }

  static void pack_heads(const Block* const (&blocks)[kPanelRows], std::byte* vectors) {
    for (size_t row = 0; row < kPanelRows; ++row) {
      const Heads of_row = heads_of(*blocks[row]);
      for (size_t h = 0; h < kLayout.n_heads; ++h)
        std::memcpy(vectors + 32 * h + 2 * row, &of_row[h], 2);
    }
  }
};

struct BlockFunctions {
  void (*pack)(const StoredRows& rows, size_t n_blocks, std::byte* panel) = nullptr;
  void (*unpack)(const std::byte* panel, size_t n_blocks, size_t row, std::byte* stored) = nullptr;
};
template <Type kType, class Block>
constexpr BlockFunctions functions_of() {
  return {BlockPanel<kType, Block>::pack, BlockPanel<kType, Block>::unpack};
}
BlockFunctions block_functions(Type type) {
  switch (type) {
    case Type::kQ4_0: return functions_of<Type::kQ4_0, BlockQ4_0>();
    case Type::kQ4_1: return functions_of<Type::kQ4_1, BlockQ4_1>();
    case Type::kQ5_0: return functions_of<Type::kQ5_0, BlockQ5_0>();
    case Type::kQ5_1: return functions_of<Type::kQ5_1, BlockQ5_1>();
    case Type::kQ8_0: return functions_of<Type::kQ8_0, BlockQ8_0>();
    case Type::kQ2_K: return functions_of<Type::kQ2_K, BlockQ2_K>();
    case Type::kQ3_K: return functions_of<Type::kQ3_K, BlockQ3_K>();
    case Type::kQ4_K: return functions_of<Type::kQ4_K, BlockQ4_K>();
    case Type::kQ5_K: return functions_of<Type::kQ5_K, BlockQ5_K>();
    case Type::kQ6_K: return functions_of<Type::kQ6_K, BlockQ6_K>();
    case Type::kIQ4_NL: return functions_of<Type::kIQ4_NL, BlockIQ4_NL>();
    case Type::kIQ4_XS: return functions_of<Type::kIQ4_XS, BlockIQ4_XS>();
    case Type::kF32:
    case Type::kF16:
    case Type::kBF16: break;
  }
  return {};
}

// Floats: element `col` of a row lies at (col / group * 16 + row) * group + col % group, where BF16
// comes in groups of two columns.
size_t float_place(Type type, size_t col, size_t row) {
  const size_t group = type == Type::kBF16 ? 2 : 1;
  return (col / group * kPanelRows + row) * group + col % group;
}
size_t float_bytes(Type type) { return type == Type::kF32 ? 4 : 2; }

void pack_float(Type type, size_t col, const StoredRows& rows, std::byte* panel) {
  const size_t bytes = float_bytes(type);
  for (size_t row = 0; row < kPanelRows; ++row) {
    const size_t offset = rows[row].missing ? 0 : col * bytes;
    std::memcpy(panel + float_place(type, col, row) * bytes, rows[row].begin + offset, bytes);
  }
}

// F32 and pairs of BF16 are words whose order is that of a plane; pairs of F16 are then taken
// apart.
void pack_floats(Type type, size_t cols, const StoredRows& rows, std::byte* panel) {
  constexpr size_t kWords = 16;
  const size_t chunk_cols = kWords * 4 / float_bytes(type);
  size_t col = 0;
  for (; col + chunk_cols <= cols; col += chunk_cols) {
    const std::byte* chunks[kPanelRows];
    for (size_t row = 0; row < kPanelRows; ++row)
      chunks[row] = rows[row].begin + (rows[row].missing ? 0 : col * float_bytes(type));
    std::byte* out = panel + col * kPanelRows * float_bytes(type);
    transpose_words<kWords, 0>(chunks, out);
    if (type == Type::kF16) internal::part_halves(out, kWords);
  }
  for (; col < cols; ++col) pack_float(type, col, rows, panel);
}

// Bytes of a panel that mean something.
size_t used_bytes(Type type, size_t cols) {
  if (!is_quantised(type)) {
    const size_t group = type == Type::kBF16 ? 2 : 1;
    return (cols + group - 1) / group * group * kPanelRows * float_bytes(type);
  }
  const PanelLayout layout = panel_layout(type);
  return cols / layout.block_cols * (layout.body_bytes() + layout.head_bytes());
}

}  // namespace

size_t panel_bytes(Type type, size_t cols) { return (used_bytes(type, cols) + 63) / 64 * 64; }

void pack_panel(Type type, size_t cols, const std::byte* rows, size_t n_rows,
                size_t row_stride_bytes, std::byte* panel) {
  MIXTRAL_DCHECK(n_rows <= kPanelRows, "a panel has 16 rows");
  StoredRows stored;
  for (size_t row = 0; row < kPanelRows; ++row) {
    stored[row] = row < n_rows ? StoredRow{rows + row * row_stride_bytes, false}
                               : StoredRow{kZeros.data(), true};
  }
  // Of the last words only parts may be written below: they and what follows are zero.
  const size_t bytes = panel_bytes(type, cols), tail = std::min<size_t>(bytes, 128);
  std::memset(panel + bytes - tail, 0, tail);
  if (is_quantised(type)) {
    block_functions(type).pack(stored, cols / type_info(type).block_size, panel);
  } else {
    pack_floats(type, cols, stored, panel);
  }
}

void unpack_panel_row(Type type, size_t cols, const std::byte* panel, size_t row,
                      std::byte* stored) {
  if (is_quantised(type)) {
    block_functions(type).unpack(panel, cols / type_info(type).block_size, row, stored);
    return;
  }
  const size_t bytes = float_bytes(type);
  for (size_t col = 0; col < cols; ++col)
    std::memcpy(stored + col * bytes, panel + float_place(type, col, row) * bytes, bytes);
}

bool panel_finite(Type type, size_t cols, const std::byte* panel) {
  const size_t used = used_bytes(type, cols);
  if (!is_quantised(type)) return all_finite(type, panel, used / float_bytes(type));
  const PanelLayout layout = panel_layout(type);
  const size_t heads = cols / layout.block_cols * layout.head_bytes();
  return all_finite(Type::kF16, panel + used - heads, heads / 2);
}

}  // namespace mixtral
