// Weights of a packed model: panels in the mapped file, and rows for whoever wants these. Private
// to model/.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/mapped_file.h"
#include "io/tensor_table.h"
#include "ops/weight.h"

namespace mixtral {

class PanelSource final : public WeightSource {
 public:
  /// One entry of `mapping`'s file for each matrix, all of them panels of [rows, cols].
  PanelSource(std::string name, std::vector<Type> types, size_t rows, size_t cols,
              std::vector<const TensorEntry*> entries, std::shared_ptr<const MappedFile> mapping)
      : WeightSource(std::move(name), std::move(types), rows, cols),
        entries_(std::move(entries)),
        mapping_(std::move(mapping)) {}

  std::string matrix_name(size_t matrix) const override { return entries_[matrix]->name; }
  /// With pread and not from the mapping: a file cut while in use is an error and no signal.
  Status read_rows(size_t matrix, size_t first_row, size_t n_rows,
                   std::span<std::byte> out) const override;
  std::shared_ptr<const std::byte> panels(size_t matrix) const override;
  Status fetch_panels(size_t matrix, size_t first_byte, size_t n_bytes) const override;

 private:
  std::vector<const TensorEntry*> entries_;
  std::shared_ptr<const MappedFile> mapping_;
};

}  // namespace mixtral
