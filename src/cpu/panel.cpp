#include "cpu/panel.h"

#include <array>
#include <cstring>
#include <type_traits>

#include "core/check.h"
#include "cpu/kernels/kernel_table.h"
#include "cpu/panel_layout.h"
#include "quant/blocks.h"
#include "quant/codes.h"

namespace mixtral::cpu {
namespace {

// What a row's block contributes to each part of the panel.
struct Parts {
  std::array<uint8_t, 128> low;
  std::array<uint8_t, 64> high;
  std::array<uint8_t, 16> scales;
  std::array<uint16_t, 2> heads;
};

template <size_t N, class Array>
void copy_in(const uint8_t (&from)[N], Array& to) {
  static_assert(N <= sizeof(Array));
  std::memcpy(to.data(), from, N);
}
template <size_t N, class Array>
void copy_out(const Array& from, uint8_t (&to)[N]) {
  static_assert(N <= sizeof(Array));
  std::memcpy(to, from.data(), N);
}

// Q5_0 and Q5_1 keep bit 4 of code i in bit i of a 32-bit number. In the panel it is bit i / 4 of
// byte i % 4, so that one shift brings the bits of four neighbours to the same place in each byte.
void regroup_bits(const uint8_t (&qh)[4], std::array<uint8_t, 64>& high) {
  for (size_t i = 0; i < 4; ++i) {
    unsigned byte = 0;
    for (size_t j = 0; j < 8; ++j) byte |= (qh[j / 2] >> (j % 2 * 4 + i) & 1u) << j;
    high[i] = static_cast<uint8_t>(byte);
  }
}
void restore_bits(const std::array<uint8_t, 64>& high, uint8_t (&qh)[4]) {
  for (size_t i = 0; i < 4; ++i) {
    unsigned byte = 0;
    for (size_t j = 0; j < 8; ++j) byte |= (high[j % 4] >> (2 * i + j / 4) & 1u) << j;
    qh[i] = static_cast<uint8_t>(byte);
  }
}

template <class Block>
void split_quants(const Block& block, Parts& parts) {
  if constexpr (requires { block.ql; }) {
    copy_in(block.ql, parts.low);
  } else if constexpr (requires { block.qs; } && !std::is_same_v<Block, BlockQ8_0>) {
    copy_in(block.qs, parts.low);
  } else {
    for (size_t i = 0; i < 32; ++i) parts.low[i] = static_cast<uint8_t>(block.qs[i] ^ 0x80);
  }
  if constexpr (requires { block.hmask; }) {
    copy_in(block.hmask, parts.high);
  } else if constexpr (requires { block.qh; }) {
    if constexpr (sizeof(block.qh) == 4) {
      regroup_bits(block.qh, parts.high);
    } else {
      copy_in(block.qh, parts.high);
    }
  }
}

template <class Block>
void join_quants(const Parts& parts, Block& block) {
  if constexpr (requires { block.ql; }) {
    copy_out(parts.low, block.ql);
  } else if constexpr (requires { block.qs; } && !std::is_same_v<Block, BlockQ8_0>) {
    copy_out(parts.low, block.qs);
  } else {
    for (size_t i = 0; i < 32; ++i) block.qs[i] = static_cast<int8_t>(parts.low[i] ^ 0x80);
  }
  if constexpr (requires { block.hmask; }) {
    copy_out(parts.high, block.hmask);
  } else if constexpr (requires { block.qh; }) {
    if constexpr (sizeof(block.qh) == 4) {
      restore_bits(parts.high, block.qh);
    } else {
      copy_out(parts.high, block.qh);
    }
  }
}

template <class Block>
void split_heads(const Block& block, Parts& parts) {
  parts.heads[0] = block.d;
  if constexpr (requires { block.dmin; }) parts.heads[1] = block.dmin;
  if constexpr (requires { block.m; }) parts.heads[1] = block.m;
}
template <class Block>
void join_heads(const Parts& parts, Block& block) {
  block.d = parts.heads[0];
  if constexpr (requires { block.dmin; }) block.dmin = parts.heads[1];
  if constexpr (requires { block.m; }) block.m = parts.heads[1];
}

// The small integers of the sub-blocks, one byte each.
template <class Block>
void split_scales(const Block& block, Parts& parts) {
  if constexpr (std::is_same_v<Block, BlockQ4_K> || std::is_same_v<Block, BlockQ5_K>) {
    const KScales k = k_scales(block.scales);
    std::memcpy(parts.scales.data(), k.scales.data(), 8);
    std::memcpy(parts.scales.data() + 8, k.mins.data(), 8);
  } else if constexpr (std::is_same_v<Block, BlockQ3_K>) {
    const std::array<int8_t, 16> scales = q3_scales(block.scales);
    std::memcpy(parts.scales.data(), scales.data(), 16);
  } else if constexpr (std::is_same_v<Block, BlockIQ4_XS>) {
    const std::array<int8_t, 8> scales = iq4_scales(block);
    std::memcpy(parts.scales.data(), scales.data(), 8);
  } else if constexpr (requires { block.scales; }) {
    std::memcpy(parts.scales.data(), block.scales, 16);
  }
}
template <class Block>
void join_scales(const Parts& parts, Block& block) {
  if constexpr (std::is_same_v<Block, BlockQ4_K> || std::is_same_v<Block, BlockQ5_K>) {
    KScales k;
    std::memcpy(k.scales.data(), parts.scales.data(), 8);
    std::memcpy(k.mins.data(), parts.scales.data() + 8, 8);
    set_k_scales(k, block.scales);
  } else if constexpr (std::is_same_v<Block, BlockQ3_K>) {
    std::array<int8_t, 16> scales;
    std::memcpy(scales.data(), parts.scales.data(), 16);
    set_q3_scales(scales, block.scales);
  } else if constexpr (std::is_same_v<Block, BlockIQ4_XS>) {
    std::array<int8_t, 8> scales;
    std::memcpy(scales.data(), parts.scales.data(), 8);
    set_iq4_scales(scales, block);
  } else if constexpr (requires { block.scales; }) {
    std::memcpy(block.scales, parts.scales.data(), 16);
  }
}

// A panel of blocks and the places of its parts.
struct Blocks {
  PanelLayout layout;
  size_t n_blocks;

  size_t bytes() const { return n_blocks * (layout.body_bytes() + layout.head_bytes()); }
  size_t body(size_t block) const { return block * layout.body_bytes(); }
  size_t head(size_t block, size_t row) const {
    return n_blocks * layout.body_bytes() + block * layout.head_bytes() + 2 * row;
  }
};
Blocks blocks_of(Type type, size_t cols) {
  const PanelLayout layout = panel_layout(type);
  return {layout, cols / layout.block_cols};
}

// Four bytes of `row` to or from its lane in each of a plane's units.
void spread(const uint8_t* bytes, size_t n, size_t row, std::byte* plane) {
  for (size_t i = 0; i < n; i += 4) std::memcpy(plane + i * kPanelRows + 4 * row, bytes + i, 4);
}
void gather(const std::byte* plane, size_t n, size_t row, uint8_t* bytes) {
  for (size_t i = 0; i < n; i += 4) std::memcpy(bytes + i, plane + i * kPanelRows + 4 * row, 4);
}

template <class Block>
void pack_row(const Blocks& blocks, const std::byte* stored, size_t row, std::byte* panel) {
  const PanelLayout& layout = blocks.layout;
  const auto* in = reinterpret_cast<const Block*>(stored);
  for (size_t b = 0; b < blocks.n_blocks; ++b) {
    Parts parts;
    split_quants(in[b], parts);
    split_scales(in[b], parts);
    split_heads(in[b], parts);
    std::byte* body = panel + blocks.body(b);
    spread(parts.low.data(), layout.low_bytes, row, body);
    spread(parts.high.data(), layout.high_bytes, row, body + layout.high_offset());
    for (size_t s = 0; s < layout.n_scales; ++s)
      body[layout.scales_offset() + s * kPanelRows + row] = std::byte{parts.scales[s]};
    for (size_t h = 0; h < layout.n_heads; ++h)
      std::memcpy(panel + blocks.head(b, row) + 32 * h, &parts.heads[h], 2);
  }
}

template <class Block>
void unpack_row(const Blocks& blocks, const std::byte* panel, size_t row, std::byte* stored) {
  const PanelLayout& layout = blocks.layout;
  auto* out = reinterpret_cast<Block*>(stored);
  for (size_t b = 0; b < blocks.n_blocks; ++b) {
    Parts parts;
    const std::byte* body = panel + blocks.body(b);
    gather(body, layout.low_bytes, row, parts.low.data());
    gather(body + layout.high_offset(), layout.high_bytes, row, parts.high.data());
    for (size_t s = 0; s < layout.n_scales; ++s)
      parts.scales[s] = static_cast<uint8_t>(body[layout.scales_offset() + s * kPanelRows + row]);
    for (size_t h = 0; h < layout.n_heads; ++h)
      std::memcpy(&parts.heads[h], panel + blocks.head(b, row) + 32 * h, 2);
    join_quants(parts, out[b]);
    join_scales(parts, out[b]);
    join_heads(parts, out[b]);
  }
}

// Floats: element `col` of a row lies at (col / group * 16 + row) * group + col % group, where BF16
// comes in groups of two columns.
size_t float_place(Type type, size_t col, size_t row) {
  const size_t group = type == Type::kBF16 ? 2 : 1;
  return (col / group * kPanelRows + row) * group + col % group;
}
size_t float_bytes(Type type) { return type == Type::kF32 ? 4 : 2; }

using PackRow = void (*)(const Blocks&, const std::byte*, size_t, std::byte*);
struct RowFunctions {
  PackRow pack, unpack;
};
template <class Block>
RowFunctions functions_of() {
  return {pack_row<Block>, unpack_row<Block>};
}
RowFunctions row_functions(Type type) {
  switch (type) {
    case Type::kQ4_0: return functions_of<BlockQ4_0>();
    case Type::kQ4_1: return functions_of<BlockQ4_1>();
    case Type::kQ5_0: return functions_of<BlockQ5_0>();
    case Type::kQ5_1: return functions_of<BlockQ5_1>();
    case Type::kQ8_0: return functions_of<BlockQ8_0>();
    case Type::kQ2_K: return functions_of<BlockQ2_K>();
    case Type::kQ3_K: return functions_of<BlockQ3_K>();
    case Type::kQ4_K: return functions_of<BlockQ4_K>();
    case Type::kQ5_K: return functions_of<BlockQ5_K>();
    case Type::kQ6_K: return functions_of<BlockQ6_K>();
    case Type::kIQ4_NL: return functions_of<BlockIQ4_NL>();
    case Type::kIQ4_XS: return functions_of<BlockIQ4_XS>();
    case Type::kF32:
    case Type::kF16:
    case Type::kBF16: break;
  }
  return {};
}

}  // namespace

size_t panel_bytes(Type type, size_t cols) {
  const size_t group = type == Type::kBF16 ? 2 : 1;
  const size_t bytes = is_quantised(type)
                           ? blocks_of(type, cols).bytes()
                           : (cols + group - 1) / group * group * kPanelRows * float_bytes(type);
  return (bytes + 63) / 64 * 64;
}

void pack_panel(Type type, size_t cols, const std::byte* rows, size_t n_rows,
                size_t row_stride_bytes, std::byte* panel) {
  MIXTRAL_DCHECK(n_rows <= kPanelRows, "a panel has 16 rows");
  // A row of zero bytes has the value zero in every type, and in every panel but Q8_0's, whose
  // scales are zero all the same.
  std::memset(panel, 0, panel_bytes(type, cols));
  for (size_t row = 0; row < n_rows; ++row) {
    const std::byte* stored = rows + row * row_stride_bytes;
    if (is_quantised(type)) {
      row_functions(type).pack(blocks_of(type, cols), stored, row, panel);
      continue;
    }
    const size_t bytes = float_bytes(type);
    for (size_t col = 0; col < cols; ++col)
      std::memcpy(panel + float_place(type, col, row) * bytes, stored + col * bytes, bytes);
  }
}

void unpack_panel_row(Type type, size_t cols, const std::byte* panel, size_t row,
                      std::byte* stored) {
  if (is_quantised(type))
    return row_functions(type).unpack(blocks_of(type, cols), panel, row, stored);
  const size_t bytes = float_bytes(type);
  for (size_t col = 0; col < cols; ++col)
    std::memcpy(stored + col * bytes, panel + float_place(type, col, row) * bytes, bytes);
}

}  // namespace mixtral::cpu
