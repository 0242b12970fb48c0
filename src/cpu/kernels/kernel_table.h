// What each instruction set's kernels offer: one table of functions, chosen once at start-up.
//
// All kernels are single-threaded and allocate nothing. Every output element is computed by the
// same float operations in the same order for any number of rows, and on every instruction set: the
// bodies are written once, over vectors of 16 lanes (simd_*.h), and compiled for each set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/cpu_features.h"
#include "ops/kv_view.h"
#include "quant/panel_layout.h"
#include "quant/type.h"

namespace mixtral::cpu {

/// How a type's kernel wants its activations.
enum class ActivationFormat {
  kF32,     ///< floats as they are: F32, F16, BF16 weights, and every type in exact mode
  kQ8x32,   ///< int8 with one f32 scale per 32 columns: the types with blocks of 32
  kQ8x256,  ///< int8 with one f32 scale per 256 columns: the types with blocks of 256
};

/// Borrowed rows of activations in one of the formats.
struct Activations {
  const float* values = nullptr;  ///< kF32: [n_rows, cols]
  size_t value_stride = 0;        ///< in floats
  /// kQ8x*: chunk c of row r is number c * chunk_stride + r. Chunk by chunk, since a kernel goes
  /// through all rows with the weights of one chunk in hand.
  const std::byte* chunks = nullptr;
  size_t chunk_stride = 0;
  /// The chunks that are multiplied. After those before first_chunk: their results are in y, and
  /// these are added.
  size_t first_chunk = 0, end_chunk = 0;
  size_t n_rows = 0;
};

/// How kernels read weights that come from memory.
struct Streaming {
  size_t bytes_ahead;   ///< asked for before they are multiplied, at each place that is read
  bool into_l1;         ///< asked for into L1; otherwise into L2
  bool several_panels;  ///< few rows go through up to four panels at once; otherwise one by one
};

/// What was found best for the kernels of `isa` on processors like this one: a matter of how much
/// each cache can have under way, and of how the processor itself reads ahead.
Streaming best_streaming(Isa isa);

/// Consecutive panels of one matrix (panel.h): 16 rows of `cols` weights each.
struct Panels {
  const std::byte* first;  ///< on a 64-byte boundary
  size_t count;
  size_t stride;  ///< bytes from panel to panel, a multiple of 64
  size_t cols;
  Streaming streaming;

  const std::byte* operator[](size_t index) const { return first + index * stride; }
};

/// y[row * y_stride + 16 p + 0..15] = activations row · the 16 rows of panel p, for every row of
/// `x` and every panel.
using MatmulFn = void (*)(const Panels& panels, const Activations& x, float* y, size_t y_stride);

/// out[column * 16 + row] = the panel's weights of `n_cols` columns from `first_col` as floats,
/// equal bit by bit to unpack(). Both are multiples of the type's block size (or n_cols ends the
/// row).
using WidenFn = void (*)(const std::byte* panel, size_t cols, size_t first_col, size_t n_cols,
                         float* out);

/// Attention of the query heads that share one key-value head, for consecutive rows of one
/// sequence.
struct AttentionTask {
  const float* q;         ///< row r, head h of the group: q + r * q_stride + h * head_dim
  float* y;               ///< like q
  size_t q_stride;        ///< floats from row to row, of q and y
  size_t n_rows;          ///< rows of this task
  size_t first_position;  ///< of row 0; row r is at first_position + r
  size_t group;           ///< query heads per key-value head
  size_t head_dim;
  size_t sliding_window;  ///< 0: none
  const KvView* kv;
  size_t layer, kv_head;
  float* scratch;  ///< attention_scratch_floats(group, head_dim) floats, aligned
};
/// Scratch for one AttentionTask.
size_t attention_scratch_floats(size_t group, size_t head_dim);

struct KernelTable {
  Isa isa;

  /// Integer kernels of the quantised types; F32, F16 and BF16 multiply floats. Indexed by
  /// table_index().
  MatmulFn matmul[15];
  WidenFn widen[15];
  /// Floats times floats: `panel` as WidenFn writes it, [cols, 16]. Accumulates onto y if
  /// `accumulate`.
  void (*matmul_widened)(const float* panel, size_t cols, const Activations& x, bool accumulate,
                         float* y, size_t y_stride);

  /// Quantises `cols` columns of one row, at most a chunk and a multiple of the format's block, to
  /// a chunk (activation_chunk.h). What lies beyond `cols` is undefined.
  void (*quantise)(ActivationFormat format, const float* x, size_t cols, std::byte* chunk);

  /// y = x / sqrt(mean(x^2) + eps) * weight over n elements; y may be x.
  void (*rms_norm)(const float* x, const float* weight, float eps, size_t n, float* y);
  /// Rotates the pairs (2i, 2i+1) of each of n_heads heads by the angle with these cosines and
  /// sines [head_dim / 2].
  void (*rope)(float* x, size_t n_heads, size_t head_dim, const float* cosines, const float* sines);
  /// y = silu(gate) * up.
  void (*swiglu)(const float* gate, const float* up, size_t n, float* y);
  /// y += x * factor.
  void (*add_scaled)(const float* x, float factor, size_t n, float* y);
  /// One head's key and value (head_dim floats each) to the `place`-th position of a page, whose
  /// parts for this head begin at `keys` and `values`.
  void (*store_kv)(const KvLayout& layout, size_t place, const float* k, const float* v,
                   std::byte* keys, std::byte* values);
  void (*attention)(const AttentionTask& task);

  /// Multiply as fast as the instruction set can, from registers, and return the number of
  /// operations (multiplications and additions): bytes that use all their bits, bytes that hold
  /// codes of at most six bits (whose products AVX2 may add up in 16 bits), floats.
  uint64_t (*peak_int8)(size_t n_steps);
  uint64_t (*peak_int4)(size_t n_steps);
  uint64_t (*peak_f32)(size_t n_steps);
};

/// Position of a type in the tables above.
constexpr size_t table_index(Type type) {
  switch (type) {
    case Type::kF32: return 0;
    case Type::kF16: return 1;
    case Type::kBF16: return 2;
    case Type::kQ4_0: return 3;
    case Type::kQ4_1: return 4;
    case Type::kQ5_0: return 5;
    case Type::kQ5_1: return 6;
    case Type::kQ8_0: return 7;
    case Type::kQ2_K: return 8;
    case Type::kQ3_K: return 9;
    case Type::kQ4_K: return 10;
    case Type::kQ5_K: return 11;
    case Type::kQ6_K: return 12;
    case Type::kIQ4_NL: return 13;
    case Type::kIQ4_XS: return 14;
  }
  return 0;
}
/// What the integer kernel of this type takes (kF32 for F32, F16 and BF16).
ActivationFormat activation_format(Type type);

/// The kernels for `isa`, which must be supported here. Those of kAmx are those of kAvx512, but for
/// many rows of quantised types.
const KernelTable& kernel_table(Isa isa);

}  // namespace mixtral::cpu
