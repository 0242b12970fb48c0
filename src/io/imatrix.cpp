#include "io/imatrix.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "io/gguf.h"
#include "io/quoted.h"

namespace mixtral {
namespace {

constexpr std::string_view kSquares = ".in_sum2", kCounts = ".counts";

Result<std::vector<float>> read_floats(const TensorEntry& tensor) {
  if (tensor.type != Type::kF32) {
    return fail(ErrorCode::kBadInput, "tensor {}: type {}, expected F32", in_quotes(tensor.name),
                type_name(tensor.type));
  }
  std::vector<float> values(tensor.n_bytes / sizeof(float));
  MIXTRAL_TRY(tensor.read(0, std::as_writable_bytes(std::span(values))));
  const auto good = [](float value) { return std::isfinite(value) && value >= 0; };
  const auto bad = std::find_if_not(values.begin(), values.end(), good);
  if (bad != values.end()) {
    return fail(ErrorCode::kBadInput, "tensor {}: holds {}, expected finite numbers from 0",
                in_quotes(tensor.name), *bad);
  }
  return values;
}

Result<InputSums> read_sums(const GgufFile& file, const TensorEntry& squares,
                            const std::string& counts_name) {
  const TensorEntry* counts = file.tensors.find(counts_name);
  if (counts == nullptr) {
    return fail(ErrorCode::kBadInput, "tensor {} is missing", in_quotes(counts_name));
  }
  InputSums sums;
  MIXTRAL_TRY(sums.squares, read_floats(squares));
  MIXTRAL_TRY(sums.counts, read_floats(*counts));
  if (sums.counts.empty() || sums.squares.empty() ||
      sums.squares.size() % sums.counts.size() != 0) {
    return fail(ErrorCode::kBadInput, "tensor {}: {} sums for the {} matrices of {}",
                in_quotes(squares.name), sums.squares.size(), sums.counts.size(),
                in_quotes(counts_name));
  }
  return sums;
}

Result<ImportanceMatrix> parse(const GgufFile& file) {
  MIXTRAL_TRY(const std::optional<std::string> kind, file.metadata.get_string("general.type"));
  if (kind != "imatrix") {
    return fail(ErrorCode::kBadInput, "not an importance matrix: general.type is {}",
                kind ? in_quotes(*kind) : "missing");
  }
  ImportanceMatrix matrix;
  for (const auto& tensor : file.tensors.entries()) {
    if (!tensor->name.ends_with(kSquares)) continue;
    const std::string name = tensor->name.substr(0, tensor->name.size() - kSquares.size());
    MIXTRAL_TRY(matrix.weights[name], read_sums(file, *tensor, name + std::string(kCounts)));
  }
  if (matrix.weights.empty()) return fail(ErrorCode::kBadInput, "no tensor NAME{}", kSquares);
  MIXTRAL_TRY(const std::vector<std::string>* datasets,
              file.metadata.get_strings("imatrix.datasets"));
  if (datasets != nullptr) matrix.datasets = *datasets;
  MIXTRAL_TRY(const auto n_chunks, file.metadata.get_u64("imatrix.chunk_count"));
  MIXTRAL_TRY(const auto chunk_tokens, file.metadata.get_u64("imatrix.chunk_size"));
  matrix.n_chunks = n_chunks.value_or(0);
  matrix.chunk_tokens = chunk_tokens.value_or(0);
  return matrix;
}

}  // namespace

Result<ImportanceMatrix> ImportanceMatrix::read(const std::string& path) {
  MIXTRAL_TRY(const GgufFile file, GgufFile::open(path));
  auto matrix = parse(file);
  if (!matrix) return with_context(std::move(matrix).error(), path);
  matrix->source_path = path;
  return matrix;
}

Status ImportanceMatrix::write(const std::string& path) const {
  GgufMetadata metadata;
  metadata.set("general.type", std::string("imatrix"));
  metadata.set("imatrix.datasets", datasets);
  metadata.set("imatrix.chunk_count", n_chunks);
  metadata.set("imatrix.chunk_size", chunk_tokens);
  std::vector<GgufTensorInfo> tensors;
  for (const auto& [name, sums] : weights) {
    tensors.push_back({name + std::string(kSquares), Type::kF32, {sums.n_matrices(), sums.cols()}});
    tensors.push_back({name + std::string(kCounts), Type::kF32, {sums.n_matrices(), 1}});
  }
  MIXTRAL_TRY(GgufWriter writer, GgufWriter::create(path, metadata, std::move(tensors)));
  for (const auto& [name, sums] : weights) {
    MIXTRAL_TRY(writer.write(std::as_bytes(std::span(sums.squares))));
    MIXTRAL_TRY(writer.write(std::as_bytes(std::span(sums.counts))));
  }
  return writer.finish();
}

}  // namespace mixtral
