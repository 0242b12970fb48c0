#include "io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/half.h"
#include "io/quoted.h"
#include "io/safetensors_header.h"

namespace mixtral {
namespace {

struct OpenedFile {
  std::shared_ptr<const InputFile> file;
  SafetensorsHeader header;
};

Result<OpenedFile> open_file(const std::string& path) {
  MIXTRAL_TRY(auto file, InputFile::open(path));
  Result<SafetensorsHeader> header = read_safetensors_header(*file);
  if (!header) return with_context(std::move(header).error(), path);
  return OpenedFile{std::move(file), *std::move(header)};
}

std::optional<Type> weight_type(std::string_view dtype) {
  if (dtype == "F32") return Type::kF32;
  if (dtype == "F16") return Type::kF16;
  if (dtype == "BF16") return Type::kBF16;
  return std::nullopt;
}

// Elements of `Stored` as they lie in the file, each turned into the element of `out` by `convert`.
template <class Stored, class Value, class Convert>
Status read_elements(const InputFile& file, uint64_t begin, std::vector<Value>& out,
                     Convert convert) {
  Stored block[4096];
  for (size_t done = 0; done < out.size();) {
    const auto part = std::span(block).first(std::min(out.size() - done, std::size(block)));
    MIXTRAL_TRY(file.read_at(begin + done * sizeof(Stored), std::as_writable_bytes(part)));
    for (const Stored value : part) {
      if (!convert(value, out[done++])) {
        return fail(ErrorCode::kUnsupported, "the value {} does not fit into 32 bits", value);
      }
    }
  }
  return {};
}

template <class Stored, class Convert>
Status read_floats(const InputFile& file, uint64_t begin, std::vector<float>& out,
                   Convert convert) {
  return read_elements<Stored>(file, begin, out, [&](Stored value, float& result) {
    result = convert(value);
    return true;
  });
}

template <class Stored>
Status read_ints(const InputFile& file, uint64_t begin, std::vector<int32_t>& out) {
  return read_elements<Stored>(file, begin, out, [](Stored value, int32_t& result) {
    result = static_cast<int32_t>(value);
    return result == value;
  });
}

Result<DenseTensor> read_dense(const OpenedFile& opened, const SafetensorsDeclaration& tensor) {
  DenseTensor dense;
  dense.shape = tensor.shape;
  const InputFile& file = *opened.file;
  const uint64_t begin = opened.header.data_begin + tensor.begin;
  const uint64_t n_bytes = tensor.end - tensor.begin;
  const bool is_int = tensor.dtype == "I32" || tensor.dtype == "I64";
  if (!is_int && !weight_type(tensor.dtype)) {
    return fail(ErrorCode::kUnsupported, "dtype {}, expected F32, F16, BF16, I32 or I64",
                in_quotes(tensor.dtype));
  }
  const uint64_t count = n_bytes / *safetensors_dtype_bytes(tensor.dtype);
  if (is_int) {
    dense.ints.resize(count);
  } else {
    dense.floats.resize(count);
  }
  Status status;
  if (tensor.dtype == "F32") {
    status = read_floats<float>(file, begin, dense.floats, [](float value) { return value; });
  } else if (tensor.dtype == "F16") {
    status = read_floats<uint16_t>(file, begin, dense.floats, f16_to_f32);
  } else if (tensor.dtype == "BF16") {
    status = read_floats<uint16_t>(file, begin, dense.floats, bf16_to_f32);
  } else if (tensor.dtype == "I32") {
    status = read_ints<int32_t>(file, begin, dense.ints);
  } else {
    status = read_ints<int64_t>(file, begin, dense.ints);
  }
  if (!status) return tl::unexpected(std::move(status).error());
  return dense;
}

}  // namespace

Status add_safetensors(const std::string& path, TensorTable& table,
                       std::map<std::string, std::string>* metadata) {
  MIXTRAL_TRY(OpenedFile opened, open_file(path));
  for (SafetensorsDeclaration& tensor : opened.header.tensors) {
    const auto type = weight_type(tensor.dtype);
    if (!type) {
      return fail(ErrorCode::kUnsupported, "{}: tensor {}: dtype {}, expected F32, F16 or BF16",
                  path, in_quotes(tensor.name), in_quotes(tensor.dtype));
    }
    if (tensor.begin == tensor.end) {
      return fail(ErrorCode::kBadInput, "{}: tensor {}: a dimension is 0", path,
                  in_quotes(tensor.name));
    }
    MIXTRAL_TRY(table.add({std::move(tensor.name), *type, std::move(tensor.shape), opened.file,
                           opened.header.data_begin + tensor.begin, tensor.end - tensor.begin}));
  }
  if (metadata != nullptr) *metadata = std::move(opened.header.metadata);
  return {};
}

Result<std::map<std::string, DenseTensor>> read_safetensors(const std::string& path) {
  MIXTRAL_TRY(const OpenedFile opened, open_file(path));
  std::map<std::string, DenseTensor> tensors;
  for (const SafetensorsDeclaration& tensor : opened.header.tensors) {
    Result<DenseTensor> dense = read_dense(opened, tensor);
    if (!dense) {
      return with_context(std::move(dense).error(),
                          fmt::format("{}: tensor {}", path, in_quotes(tensor.name)));
    }
    tensors.emplace(tensor.name, *std::move(dense));
  }
  return tensors;
}

}  // namespace mixtral
