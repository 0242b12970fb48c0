// Weight matrices: where a backend reads them from, and what it keeps of them.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/result.h"
#include "quant/type.h"

namespace mixtral {

/// A stack of `n_matrices` [rows, cols] matrices (one per expert, or just one), as a checkpoint
/// stores them. Vectors are matrices of one row.
class WeightSource {
 public:
  virtual ~WeightSource() = default;

  const std::string& name() const { return name_; }
  size_t n_matrices() const { return types_.size(); }
  Type type(size_t matrix = 0) const { return types_[matrix]; }
  const std::vector<Type>& types() const { return types_; }
  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }
  size_t row_bytes(size_t matrix = 0) const { return mixtral::row_bytes(types_[matrix], cols_); }

  /// What the file calls one of the matrices, for messages.
  virtual std::string matrix_name(size_t matrix) const {
    return n_matrices() == 1 ? name_ : fmt::format("{}, expert {}", name_, matrix);
  }

  /// Fills `out` with rows [first_row, first_row + n_rows) of one matrix. Fails when the file does.
  /// Thread-safe: loading reads on every core.
  virtual Status read_rows(size_t matrix, size_t first_row, size_t n_rows,
                           std::span<std::byte> out) const = 0;

  /// A matrix's panels (quant/panel.h), if the source has them in memory as packed models do, else
  /// nullptr. All matrices of a source have them or none. Their values are known to be finite. Who
  /// holds the pointer keeps them there, whatever becomes of the source.
  virtual std::shared_ptr<const std::byte> panels(size_t matrix) const;
  /// Waits until bytes of these panels are in memory: it is faster for all of them than for one
  /// page after another when they are needed. Fails when the file does. Thread-safe.
  virtual Status fetch_panels(size_t matrix, size_t first_byte, size_t n_bytes) const;

 protected:
  /// One type for each matrix; not empty.
  WeightSource(std::string name, std::vector<Type> types, size_t rows, size_t cols)
      : name_(std::move(name)), types_(std::move(types)), rows_(rows), cols_(cols) {}

 private:
  std::string name_;
  std::vector<Type> types_;
  size_t rows_, cols_;
};

inline std::shared_ptr<const std::byte> WeightSource::panels(size_t /*matrix*/) const { return {}; }
inline Status WeightSource::fetch_panels(size_t /*matrix*/, size_t /*first_byte*/,
                                         size_t /*n_bytes*/) const {
  return {};
}

/// A weight in the memory and layout of the backend that loaded it; only that backend can use it.
class Weight {
 public:
  virtual ~Weight() = default;

  size_t n_matrices() const { return types_.size(); }
  Type type(size_t matrix = 0) const { return types_[matrix]; }
  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }

  /// Bytes of memory it takes, mapped ones included.
  virtual size_t bytes() const = 0;
  /// What multiplies it, for `mixtral info`: "avx512 int8 panels".
  virtual std::string kernel() const = 0;

 protected:
  explicit Weight(const WeightSource& source)
      : types_(source.types()), rows_(source.rows()), cols_(source.cols()) {}

 private:
  std::vector<Type> types_;
  size_t rows_, cols_;
};

}  // namespace mixtral
