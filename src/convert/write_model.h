// A whole model to disk, in any format. Nothing is left behind when it fails.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "convert/model_source.h"
#include "convert/type_mix.h"
#include "core/progress.h"
#include "core/result.h"
#include "io/imatrix.h"
#include "quant/type.h"

namespace mixtral {

enum class ModelFormat {
  kGguf,         ///< one file
  kHuggingFace,  ///< a folder as transformers reads it
  kPacked,       ///< a packed model (io/packed.h)
};

struct WriteOptions {
  /// F32, F16 or BF16 for every matrix; as stored if not given (in a Hugging Face folder quantised
  /// ones become F32). Vectors are F32 in a GGUF file; vectors and routers in a folder take the
  /// matrices' type if it holds their values exactly, else F32. A packed model keeps every type:
  /// not to be given.
  std::optional<Type> type = std::nullopt;
  /// In a GGUF file, instead of `type`: a mix of types, as llama-quantize makes it.
  const TypeMix* mix = nullptr;
  /// Weighs the rounding errors of blocks by how large the inputs of a column were; may be nullptr.
  const ImportanceMatrix* importance = nullptr;
  /// Replace an existing file, or the model files of an existing folder.
  bool replace = false;
  uint64_t shard_bytes = uint64_t{5} << 30;  ///< of a folder's weight files
  size_t n_threads = 0;                      ///< 0: one for each CPU
};

struct WriteReport {
  uint64_t n_tensors = 0;
  uint64_t n_bytes = 0;  ///< of all tensors
  /// What did not keep its bits, and why; one line each, for people.
  std::vector<std::string> notes;
  std::vector<std::string> warnings;  ///< what is likely not as the user wants it
};

/// The format that `path` asks for: GGUF if it ends in ".gguf", else a folder.
ModelFormat format_of_path(const std::string& path);

/// Writes `model` to `path`. Fails with kBadInput if something is there already and `replace` is
/// not set, if a weight holds values that its new type cannot, if `importance` is another model's,
/// or, for a packed model, if a weight is NaN or infinite.
Result<WriteReport> write_model(const ModelSource& model, ModelFormat format,
                                const std::string& path, const WriteOptions& options,
                                Progress* progress);

}  // namespace mixtral
