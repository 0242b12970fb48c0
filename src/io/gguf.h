// GGUF files, versions 2 and 3, whole or split (GGUF specification: github.com/ggml-org/ggml,
// docs/gguf.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "core/result.h"
#include "io/file.h"
#include "io/tensor_table.h"

namespace mixtral {

/// A metadata value. Integers of every width widen to 64 bits, floats to double. Arrays of arrays,
/// which no model uses, are refused. Strings need not be UTF-8; keys and tensor names have no
/// control characters.
using GgufValue = std::variant<uint64_t, int64_t, double, bool, std::string, std::vector<uint64_t>,
                               std::vector<int64_t>, std::vector<double>, std::vector<bool>,
                               std::vector<std::string>>;

/// Metadata by key, in the order of the file. Getters name the key when its type is wrong.
class GgufMetadata {
 public:
  /// Replaces the value if the key is there already (writing); reading refuses duplicate keys
  /// itself.
  void set(std::string key, GgufValue value);
  const GgufValue* find(std::string_view key) const;
  const std::vector<std::pair<std::string, GgufValue>>& items() const { return items_; }

  /// nullopt if absent; an error if present with another type (or, for u64, negative).
  Result<std::optional<uint64_t>> get_u64(std::string_view key) const;
  Result<std::optional<double>> get_f64(std::string_view key) const;
  Result<std::optional<bool>> get_bool(std::string_view key) const;
  Result<std::optional<std::string>> get_string(std::string_view key) const;
  /// nullptr if absent.
  Result<const std::vector<std::string>*> get_strings(std::string_view key) const;
  /// Floats of any width as double; nullopt if absent.
  Result<std::optional<std::vector<double>>> get_f64s(std::string_view key) const;
  /// Integers of any width and sign; nullopt if absent.
  Result<std::optional<std::vector<int64_t>>> get_i64s(std::string_view key) const;

 private:
  std::vector<std::pair<std::string, GgufValue>> items_;
  std::unordered_map<std::string, size_t> index_;
};

/// The header of a GGUF file, or of all parts of a split one; tensors stay on disk.
struct GgufFile {
  GgufMetadata metadata;  ///< of the first part
  TensorTable tensors;    ///< of all parts; shapes outermost first

  /// `path` is the file, or the first part of a split file ("…-00001-of-0000N.gguf"). Memory is
  /// bounded by a small multiple of the header's bytes. Tensors of types outside quant/type.h fail
  /// with kUnsupported.
  static Result<GgufFile> open(const std::string& path);
};

/// What GgufWriter must know of a tensor before any byte of it is written.
struct GgufTensorInfo {
  std::string name;
  Type type;
  std::vector<uint64_t> shape;  ///< outermost dimension first
};

/// Writes a GGUF version 3 file: header first, then the tensors' bytes in the declared order.
/// Metadata numbers are written in 32 bits where the value allows; floats are rounded to them.
class GgufWriter {
 public:
  static Result<GgufWriter> create(const std::string& path, const GgufMetadata& metadata,
                                   std::vector<GgufTensorInfo> tensors);

  /// Appends bytes of the current tensor; when it is full the next one begins. Rows may be split
  /// anywhere.
  Status write(std::span<const std::byte> bytes);
  /// Fails if a tensor is missing bytes; else the file appears under its name.
  Status finish();

 private:
  GgufWriter(OutputFile file, std::vector<GgufTensorInfo> tensors, std::vector<uint64_t> sizes,
             uint64_t alignment);
  OutputFile file_;
  std::vector<GgufTensorInfo> tensors_;
  std::vector<uint64_t> sizes_;  ///< bytes of each tensor
  uint64_t alignment_;
  size_t current_ = 0;
  uint64_t current_written_ = 0;
};

}  // namespace mixtral
