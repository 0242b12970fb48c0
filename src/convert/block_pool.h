// Random weights of any type without quantising each: rows are put together from a pool of blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ops/weight.h"
#include "quant/type.h"

namespace mixtral {

/// Pieces of rows, quantised from normal values of mean 0. Immutable.
class BlockPool {
 public:
  /// For rows of `cols` weights, which must be whole blocks of `type`.
  BlockPool(Type type, size_t cols, double standard_deviation);

  Type type() const { return type_; }
  size_t cols() const { return cols_; }
  /// Writes one row of pieces drawn with `seed`.
  void draw_row(uint64_t seed, std::byte* row) const;

 private:
  Type type_;
  size_t cols_;
  size_t piece_bytes_;
  std::vector<std::byte> pieces_;
};

/// A weight of `n_matrices` matrices of `rows` rows from a pool, the same for the same seed.
std::unique_ptr<WeightSource> make_pool_weight(std::string name, size_t n_matrices, size_t rows,
                                               std::shared_ptr<const BlockPool> pool,
                                               uint64_t seed);

}  // namespace mixtral
