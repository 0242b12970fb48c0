// The tensors that a checkpoint's files declare: where each one's bytes lie. Nothing is read yet.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/result.h"
#include "io/file.h"
#include "quant/type.h"

namespace mixtral {

/// One tensor of one file. Created only after name, shape, type and extent were checked against the
/// file.
struct TensorEntry {
  std::string name;
  Type type;
  std::vector<uint64_t> shape;  ///< outermost dimension first, whatever the file's own order
  std::shared_ptr<const InputFile> file;
  uint64_t offset;   ///< of the first byte in `file`
  uint64_t n_bytes;  ///< of all rows; shape and type give the same number
  /// The bytes are those of the matrix's panels (quant/panel.h), which are a few more.
  bool in_panels = false;

  /// "[8, 14336, 4096]", for messages.
  std::string shape_text() const;
  /// Fills `out` from byte `offset_bytes` of the tensor. Thread-safe.
  Status read(uint64_t offset_bytes, std::span<std::byte> out) const;
};

/// Tensors by name, in the order of the files. Immutable once filled; reading is thread-safe.
class TensorTable {
 public:
  /// Fails with kBadInput, naming both files, if the name is there already.
  Status add(TensorEntry entry);

  /// nullptr if there is none of this name. Pointers live as long as the table.
  const TensorEntry* find(std::string_view name) const;
  const std::vector<std::unique_ptr<const TensorEntry>>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }

 private:
  std::vector<std::unique_ptr<const TensorEntry>> entries_;
  std::unordered_map<std::string_view, const TensorEntry*> by_name_;
};

}  // namespace mixtral
