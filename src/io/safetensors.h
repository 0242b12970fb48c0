// safetensors files and sharded folders (format: github.com/huggingface/safetensors).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/tensor_view.h"
#include "io/file.h"
#include "io/tensor_table.h"

namespace mixtral {

/// Adds the tensors of one file to `table`. The header may take 100 MB at most; offsets must cover
/// the data without gap or overlap. F32, F16 and BF16 are weights; tensors of other dtypes fail
/// with kUnsupported. `metadata`, if given, receives the header's "__metadata__" strings.
Status add_safetensors(const std::string& path, TensorTable& table,
                       std::map<std::string, std::string>* metadata = nullptr);

/// The weights of a folder: the shards of `model.safetensors.index.json`, else `model.safetensors`,
/// else every `consolidated*.safetensors`. Other files are ignored; a folder with only pickles
/// (`*.bin`, `*.pth`) is refused with the reason and the way out.
Result<TensorTable> open_safetensors_folder(const std::string& folder);

struct SafetensorsTensorInfo {
  std::string name;
  std::string dtype;  ///< "F32", "F16", "BF16", "I32", "I64"
  std::vector<uint64_t> shape;
};

/// Writes one file: header first, then the tensors' bytes in the declared order.
class SafetensorsWriter {
 public:
  static Result<SafetensorsWriter> create(const std::string& path,
                                          const std::vector<SafetensorsTensorInfo>& tensors,
                                          const std::map<std::string, std::string>& metadata = {});
  /// Appends bytes; tensors follow one another without padding.
  Status write(std::span<const std::byte> bytes);
  Status finish();

 private:
  SafetensorsWriter(OutputFile file, uint64_t data_bytes);
  OutputFile file_;
  uint64_t data_bytes_;
  uint64_t written_ = 0;
};

/// A small dense tensor read whole as float (F32, F16, BF16) or int32 (I32, I64): goldens, ids
/// files.
struct DenseTensor {
  std::vector<uint64_t> shape;
  std::vector<float> floats;
  std::vector<int32_t> ints;
};
/// Every tensor of one file, integers included.
Result<std::map<std::string, DenseTensor>> read_safetensors(const std::string& path);

}  // namespace mixtral
