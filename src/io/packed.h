// Packed models: the panels that the CPU backend computes with (quant/panel.h), in a file that is
// mapped and not read. docs/adr/0006-packed-models.md has the format byte by byte, and the reasons.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/progress.h"
#include "core/result.h"
#include "core/thread_pool.h"
#include "io/checksum.h"
#include "io/file.h"
#include "io/gguf.h"
#include "io/tensor_table.h"

namespace mixtral {

/// The first bytes of every packed model.
inline constexpr std::string_view kPackedMagic = "MIXTPACK";
/// Of the file's structure and of the panels in it: a change of either makes a new version.
inline constexpr uint32_t kPackedVersion = 2;

/// A tensor and the zeros between it and the next one, or the end of the file.
struct PackedPart {
  uint64_t offset = 0, n_bytes = 0;
  uint64_t checksum = 0;
};

/// The header of a packed model; weights stay on disk.
struct PackedFile {
  GgufMetadata metadata;
  /// Vectors [n] as rows, matrices [rows, cols] as panels, each on a multiple of 64 bytes.
  TensorTable tensors;
  std::vector<PackedPart> parts;  ///< of tensors.entries(), in their order
  std::shared_ptr<const InputFile> file;

  /// Checks the header's own checksum, and that the file has exactly the bytes it should have.
  /// Memory is bounded by a small multiple of the header's bytes.
  static Result<PackedFile> open(const std::string& path);

  /// Reads everything on all threads. Fails with kBadInput, naming the tensor, if a checksum is
  /// wrong.
  Status verify(ThreadPool& pool, Progress* progress) const;
};

/// Bytes that a tensor of this shape (outermost first; one or two dimensions) has in the file: a
/// multiple of 64. Fails for a zero, an overflow or rows that are no whole number of blocks.
Result<uint64_t> packed_tensor_bytes(Type type, std::span<const uint64_t> shape);

/// What PackedWriter must know of a tensor before any byte of it is written.
struct PackedTensorInfo {
  std::string name;
  Type type;
  std::vector<uint64_t> shape;  ///< [n], or [rows, cols]
  /// Begins on a page of its own: the first of a slab, tensors that are used, and can be read,
  /// together.
  bool begins_slab = false;
};

/// Writes a packed model: header first, then the bytes of one tensor after another.
class PackedWriter {
 public:
  static Result<PackedWriter> create(const std::string& path, GgufMetadata metadata,
                                     std::vector<PackedTensorInfo> tensors);

  /// Appends bytes of the current tensor: of a vector the stored row, of a matrix its panels. When
  /// it is full the next one begins.
  Status write(std::span<const std::byte> bytes);
  /// Fails if a tensor is missing bytes; else the file appears under its name.
  Status finish();

 private:
  PackedWriter(OutputFile file, GgufMetadata metadata, std::vector<PackedTensorInfo> tensors,
               std::vector<PackedPart> parts)
      : file_(std::move(file)),
        metadata_(std::move(metadata)),
        tensors_(std::move(tensors)),
        parts_(std::move(parts)) {}
  Status append(std::span<const std::byte> bytes);
  Status end_part();

  OutputFile file_;
  GgufMetadata metadata_;
  std::vector<PackedTensorInfo> tensors_;
  std::vector<PackedPart> parts_;
  size_t current_ = 0;    // tensor being written
  uint64_t written_ = 0;  // bytes of it
  Checksum checksum_;
};

}  // namespace mixtral
