#include "convert/block_pool.h"

#include <cstring>
#include <numeric>
#include <utility>

#include "core/check.h"
#include "core/rng.h"
#include "quant/pack.h"

namespace mixtral {
namespace {

// Enough that repetitions do not show in any sum, few enough that the pool stays in cache.
constexpr unsigned kPiecesLog2 = 11;
constexpr size_t kPieces = size_t{1} << kPiecesLog2;
// The longest block of any type: pieces of this many weights suit all of them.
constexpr size_t kPieceWeights = 256;

class PoolWeight final : public WeightSource {
 public:
  PoolWeight(std::string name, size_t n_matrices, size_t rows,
             std::shared_ptr<const BlockPool> pool, uint64_t seed)
      : WeightSource(std::move(name), std::vector<Type>(n_matrices, pool->type()), rows,
                     pool->cols()),
        pool_(std::move(pool)),
        seed_(seed) {}

  Status read_rows(size_t matrix, size_t first_row, size_t n_rows,
                   std::span<std::byte> out) const override {
    for (size_t r = 0; r < n_rows; ++r)
      pool_->draw_row(seed_ + matrix * rows() + first_row + r, out.data() + r * row_bytes());
    return {};
  }

 private:
  std::shared_ptr<const BlockPool> pool_;
  uint64_t seed_;
};

}  // namespace

BlockPool::BlockPool(Type type, size_t cols, double standard_deviation) : type_(type), cols_(cols) {
  const size_t n_weights = std::gcd(cols, kPieceWeights);
  MIXTRAL_CHECK(n_weights % type_info(type).block_size == 0, "rows must be whole blocks");
  piece_bytes_ = row_bytes(type, n_weights);
  pieces_.resize(kPieces * piece_bytes_);
  std::vector<float> values(kPieces * n_weights);
  Rng rng(0);
  for (float& value : values) value = static_cast<float>(rng.normal() * standard_deviation);
  pack(type, values.data(), values.size(), nullptr, pieces_.data());
}

void BlockPool::draw_row(uint64_t seed, std::byte* row) const {
  Rng rng(seed);
  const size_t n_pieces = row_bytes(type_, cols_) / piece_bytes_;
  uint64_t bits = 0;
  for (size_t i = 0; i < n_pieces; ++i) {
    constexpr size_t kDrawsPerNumber = 64 / kPiecesLog2;
    if (i % kDrawsPerNumber == 0) bits = rng.next();
    std::memcpy(row + i * piece_bytes_, pieces_.data() + bits % kPieces * piece_bytes_,
                piece_bytes_);
    bits >>= kPiecesLog2;
  }
}

std::unique_ptr<WeightSource> make_pool_weight(std::string name, size_t n_matrices, size_t rows,
                                               std::shared_ptr<const BlockPool> pool,
                                               uint64_t seed) {
  return std::make_unique<PoolWeight>(std::move(name), n_matrices, rows, std::move(pool), seed);
}

}  // namespace mixtral
