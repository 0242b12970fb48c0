// What the kernel tests share: instruction sets to run on, random weights and activations, floats
// with guards around them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/half.h"
#include "cpu/amx_twin.h"
#include "cpu/avx512_twin.h"
#include "cpu/avx512_wide_twin.h"
#include "cpu/kernels/activation_chunk.h"
#include "cpu/kernels/kernel_table.h"
#include "cpu/kernels/tables.h"
#include "quant/blocks.h"
#include "quant/panel.h"
#include "quant/type.h"
#include "quant/unpack.h"

namespace mixtral::cpu {

/// A set of kernels under test: of an instruction set, or its twin.
struct Kernels {
  std::string_view name;
  Isa needs;
  const KernelTable& (*table)();

  bool run_here() const { return isa_supported(needs); }
};
template <Isa isa, bool wide_sums = false>
const KernelTable& table_of() {
  return kernel_table(isa, wide_sums);
}
inline constexpr Kernels kAllKernels[] = {
    {"scalar", Isa::kScalar, table_of<Isa::kScalar>},
    {"avx2", Isa::kAvx2, table_of<Isa::kAvx2>},
    {"avx512", Isa::kAvx512, table_of<Isa::kAvx512>},
    {"avx512_twin", Isa::kAvx2, avx512_twin_table},
    {"avx512_wide", Isa::kAvx512, table_of<Isa::kAvx512, true>},
    {"avx512_wide_twin", Isa::kAvx2, avx512_wide_twin_table},
    {"amx", Isa::kAmx, table_of<Isa::kAmx>},
    {"amx_twin", Isa::kAvx2, amx_twin_table},
};
inline void PrintTo(const Kernels& kernels, std::ostream* out) { *out << kernels.name; }
inline const KernelTable& scalar_kernels() { return kernel_table(Isa::kScalar); }

/// Those that this machine can run.
inline std::vector<Kernels> kernels_here() {
  std::vector<Kernels> here;
  std::copy_if(std::begin(kAllKernels), std::end(kAllKernels), std::back_inserter(here),
               [](const Kernels& kernels) { return kernels.run_here(); });
  return here;
}

using Random = std::mt19937;

inline std::vector<float> random_floats(Random& random, size_t n, float spread = 1.0f) {
  std::normal_distribution<float> normal(0.0f, spread);
  std::vector<float> out(n);
  for (float& x : out) x = normal(random);
  return out;
}

/// Floats at an odd address (in units of floats) with sentinels before and after.
class GuardedFloats {
 public:
  explicit GuardedFloats(size_t n) : all_(n + 2 * kGuard, kSentinel), n_(n) {}
  explicit GuardedFloats(const std::vector<float>& values)
      : all_(kGuard, kSentinel), n_(values.size()) {
    all_.insert(all_.end(), values.begin(), values.end());
    all_.insert(all_.end(), kGuard, kSentinel);
  }
  float* data() { return all_.data() + kGuard; }
  const float* data() const { return all_.data() + kGuard; }
  float& operator[](size_t i) { return data()[i]; }
  std::vector<float> values() const { return {data(), data() + n_}; }
  bool guards_intact() const {
    for (size_t i = 0; i < kGuard; ++i) {
      if (all_[i] != kSentinel || all_[kGuard + n_ + i] != kSentinel) return false;
    }
    return true;
  }
  static constexpr float kSentinel = -123456.75f;

 private:
  static constexpr size_t kGuard = 17;
  std::vector<float> all_;
  size_t n_;
};

/// True if the two hold the same bits: tells -0 from 0, and a NaN equals itself.
inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// Random bytes of `n` weights whose scales are finite and of an ordinary size.
inline std::vector<std::byte> random_weights(Random& random, Type type, size_t n) {
  std::vector<std::byte> bytes(row_bytes(type, n));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  std::normal_distribution<float> normal(0.0f, 0.05f);
  const auto set_f16 = [&](size_t at) {
    const uint16_t value = f32_to_f16(normal(random));
    std::memcpy(bytes.data() + at, &value, 2);
  };
  const TypeInfo& info = type_info(type);
  for (size_t block = 0; block < n / info.block_size; ++block) {
    const size_t at = block * info.block_bytes;
    switch (type) {
      case Type::kF32: {
        const float value = normal(random);
        std::memcpy(bytes.data() + at, &value, 4);
        break;
      }
      case Type::kBF16: {
        const uint16_t value = f32_to_bf16(normal(random));
        std::memcpy(bytes.data() + at, &value, 2);
        break;
      }
      case Type::kQ2_K:
        set_f16(at + 80);
        set_f16(at + 82);
        break;
      case Type::kQ3_K: set_f16(at + 108); break;
      case Type::kQ6_K: set_f16(at + 208); break;
      case Type::kQ4_1:
      case Type::kQ5_1:
      case Type::kQ4_K:
      case Type::kQ5_K: set_f16(at + 2); [[fallthrough]];
      default: set_f16(at);
    }
  }
  return bytes;
}

/// Up to 16 rows of weights: as stored, as floats, as a panel.
struct TestPanel {
  Type type;
  size_t n_rows, cols;
  std::vector<float> weights;  ///< [n_rows, cols]
  AlignedBuffer panel;

  TestPanel(Type t, size_t rows, size_t columns, const std::vector<std::byte>& stored)
      : type(t),
        n_rows(rows),
        cols(columns),
        weights(rows * columns),
        panel(panel_bytes(t, columns)) {
    unpack(type, stored.data(), weights.size(), weights.data());
    pack_panel(type, cols, stored.data(), n_rows, row_bytes(type, cols), panel.data());
  }
  TestPanel(Random& random, Type t, size_t rows, size_t columns)
      : TestPanel(t, rows, columns, random_weights(random, t, rows * columns)) {}

  Panels view() const { return {panel.data(), 1, panel.size(), cols, best_streaming(best_isa())}; }
};

/// Rows of activations in the format of a type, at odd addresses and strides.
struct TestActivations {
  ActivationFormat format;
  size_t cols;
  std::vector<float> values;
  AlignedBuffer chunks;
  Activations view;

  TestActivations(ActivationFormat activation_format, size_t columns, size_t n_rows,
                  const std::vector<float>& x)
      : format(activation_format), cols(columns) {
    view.n_rows = n_rows;
    if (format == ActivationFormat::kF32) {
      view.value_stride = cols + 3;
      values.assign(1 + n_rows * view.value_stride, NAN);
      for (size_t r = 0; r < n_rows; ++r)
        std::copy_n(x.data() + r * cols, cols, values.data() + 1 + r * view.value_stride);
      view.values = values.data() + 1;
      return;
    }
    view.chunk_stride = n_rows + 2;  // two rows of garbage after each chunk
    const size_t n_chunks = (cols + kChunkCols - 1) / kChunkCols;
    view.end_chunk = n_chunks;
    chunks = AlignedBuffer(n_chunks * view.chunk_stride * kChunkBytes);
    std::memset(chunks.data(), 0x7F, chunks.size());
    view.chunks = chunks.data();
    for (size_t r = 0; r < n_rows; ++r) {
      for (size_t col = 0; col < cols; col += kChunkCols)
        kernel_table(Isa::kScalar)
            .quantise(format, x.data() + r * cols + col, std::min(kChunkCols, cols - col),
                      chunk(r, col));
    }
  }

  /// What the quantised activation stands for.
  double at(size_t row, size_t col) const {
    if (format == ActivationFormat::kF32) return view.values[row * view.value_stride + col];
    const size_t i = col % kChunkCols;
    if (format == ActivationFormat::kQ8x32) {
      const auto& x = *reinterpret_cast<const ChunkQ8x32*>(chunk(row, col));
      return static_cast<double>(x.quants[i]) * static_cast<double>(x.scales[i / 32]);
    }
    const auto& x = *reinterpret_cast<const ChunkQ8x256*>(chunk(row, col));
    return static_cast<double>(x.quants[i]) * static_cast<double>(x.scale);
  }
  /// One row of it.
  Activations row(size_t r) const {
    Activations one = view;
    one.n_rows = 1;
    if (one.values != nullptr) one.values += r * one.value_stride;
    if (one.chunks != nullptr) one.chunks += r * kChunkBytes;
    return one;
  }

 private:
  std::byte* chunk(size_t row, size_t col) const {
    return chunks.data() + (col / kChunkCols * view.chunk_stride + row) * kChunkBytes;
  }
};

inline std::string kernels_test_name(const testing::TestParamInfo<Kernels>& info) {
  return std::string(info.param.name);
}
inline std::string type_test_name(const testing::TestParamInfo<Type>& info) {
  return std::string(type_name(info.param));
}

}  // namespace mixtral::cpu
