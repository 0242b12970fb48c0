#include "convert/write_packed.h"

#include <algorithm>
#include <filesystem>

#include "convert/write_gguf.h"
#include "core/arena.h"
#include "core/progress_task.h"
#include "core/thread_pool.h"
#include "io/packed.h"
#include "model/tensor_names.h"
#include "ops/load_rows.h"
#include "quant/panel.h"

namespace mixtral {
namespace {

// Of stored rows that a task reads at a time, and of panels that are then written at once.
constexpr size_t kTaskBytes = size_t{256} << 10;
constexpr size_t kBatchBytes = size_t{16} << 20;

// One tensor of the file: a matrix of a weight.
struct PackedMatrix {
  WeightId id;
  size_t matrix;
  PackedTensorInfo info;
};

PackedMatrix plan_matrix(const ModelSource& model, WeightId id, size_t matrix) {
  const TensorLayout layout = is_expert(id.role) && model.config.has_router()
                                  ? TensorLayout::kPerExpert
                                  : TensorLayout::kWhole;
  const auto names = tensor_names(CheckpointKind::kPacked, id.role);
  const auto name = std::find_if(names.begin(), names.end(), [&](const TensorName& candidate) {
    return candidate.layout == layout;
  });
  MIXTRAL_CHECK(name != names.end(), "every role has a name for one matrix");
  const auto source = model.weight(id);
  std::vector<uint64_t> shape = {source->rows(), source->cols()};
  if (is_vector(id.role)) shape.erase(shape.begin());
  return {id,
          matrix,
          {fmt::format(fmt::runtime(name->pattern), id.layer, matrix), source->type(matrix),
           std::move(shape)}};
}

// What a token needs whatever its experts is one slab for each layer, one more before and one after
// the layers; then each expert is one.
std::vector<PackedMatrix> plan_matrices(const ModelSource& model) {
  std::vector<PackedMatrix> plan;
  const auto add_slab = [&](std::initializer_list<WeightId> ids, size_t matrix) {
    const size_t first = plan.size();
    for (const WeightId id : ids) plan.push_back(plan_matrix(model, id, matrix));
    plan[first].info.begins_slab = true;
  };
  const ModelConfig& config = model.config;
  add_slab({{Role::kTokenEmbedding}}, 0);
  for (size_t layer = 0; layer < config.n_layers; ++layer) {
    add_slab({{Role::kAttentionNorm, layer},
              {Role::kWq, layer},
              {Role::kWk, layer},
              {Role::kWv, layer},
              {Role::kWo, layer},
              {Role::kFfnNorm, layer}},
             0);
    if (config.has_router()) plan.push_back(plan_matrix(model, {Role::kRouter, layer}, 0));
    for (size_t expert = 0; expert < config.n_experts; ++expert)
      add_slab({{Role::kWGate, layer}, {Role::kWUp, layer}, {Role::kWDown, layer}}, expert);
  }
  add_slab({{Role::kOutputNorm}}, 0);
  if (!config.tied_embeddings) plan.push_back(plan_matrix(model, {Role::kOutput}, 0));
  return plan;
}

// Packs matrices on all threads and hands them to a writer in order.
class MatrixPacker {
 public:
  MatrixPacker(PackedWriter& writer, ProgressTask& progress)
      : writer_(writer), progress_(progress), staging_(pool_.size()) {}

  Status pack(const WeightSource& source, const PackedMatrix& planned) {
    if (planned.info.shape.size() == 1) return copy_vector(source);
    const size_t panel = panel_bytes(planned.info.type, source.cols());
    const size_t stored = source.row_bytes(planned.matrix) * kPanelRows;
    const size_t n_panels = panels_of(source.rows());
    const size_t step = std::max<size_t>(1, kTaskBytes / stored);
    const size_t batch = std::max<size_t>(1, kBatchBytes / (panel * step)) * step;
    MIXTRAL_TRY(reserve(std::min(batch, n_panels) * panel, step * stored, planned));
    for (size_t begin = 0; begin < n_panels; begin += batch) {
      const size_t end = std::min(n_panels, begin + batch);
      std::vector<Status> done((end - begin + step - 1) / step);
      pool_.for_each(done.size(), [&](size_t task, size_t worker) {
        const size_t first = begin + task * step;
        const PanelSpan span = {first, std::min(step, end - first)};
        const std::span<std::byte> rows(staging_[worker].data(), staging_[worker].size());
        done[task] = read_finite_panels(source, planned.matrix, span, rows,
                                        panels_.data() + task * step * panel);
      });
      for (Status& status : done) MIXTRAL_TRY(std::move(status));
      MIXTRAL_TRY(write({panels_.data(), (end - begin) * panel}));
    }
    return {};
  }

 private:
  Status reserve(size_t panel_bytes_needed, size_t staging_bytes, const PackedMatrix& planned) {
    const auto grow = [](AlignedBuffer& buffer, size_t bytes) {
      if (buffer.size() < bytes) buffer = AlignedBuffer(bytes);
      return buffer.data() != nullptr;
    };
    bool good = grow(panels_, panel_bytes_needed);
    for (AlignedBuffer& buffer : staging_) good = grow(buffer, staging_bytes) && good;
    if (good) return {};
    return fail(ErrorCode::kTooLarge, "tensor {}: no memory for {} bytes", planned.info.name,
                panel_bytes_needed + staging_.size() * staging_bytes);
  }

  Status copy_vector(const WeightSource& source) {
    std::vector<std::byte> stored(source.row_bytes());
    MIXTRAL_TRY(read_finite_rows(source, 0, 0, 1, stored));
    return write(stored);
  }

  Status write(std::span<const std::byte> bytes) {
    MIXTRAL_TRY(writer_.write(bytes));
    progress_.add(bytes.size());
    return {};
  }

  PackedWriter& writer_;
  ProgressTask& progress_;
  ThreadPool pool_;
  AlignedBuffer panels_;
  std::vector<AlignedBuffer> staging_;
};

}  // namespace

Result<WriteReport> write_packed(const ModelSource& model, const std::string& path,
                                 const WriteOptions& options, Progress* progress) {
  MIXTRAL_CHECK(!options.type, "a packed model keeps its types");
  std::error_code error;
  if (!options.replace && std::filesystem::exists(path, error))
    return fail(ErrorCode::kBadInput, "{}: exists already (--force replaces it)", path);
  const std::vector<PackedMatrix> plan = plan_matrices(model);
  WriteReport report;
  std::vector<PackedTensorInfo> infos;
  for (const PackedMatrix& matrix : plan) {
    const Result<uint64_t> n_bytes = packed_tensor_bytes(matrix.info.type, matrix.info.shape);
    if (!n_bytes) return with_context(n_bytes.error(), fmt::format("tensor {}", matrix.info.name));
    report.n_bytes += *n_bytes;
    infos.push_back(matrix.info);
  }
  report.n_tensors = plan.size();
  if (!model.tokenizer_problem.empty())
    report.notes.push_back("no tokenizer was written: " + model.tokenizer_problem);

  GgufMetadata metadata = gguf_metadata(model);
  metadata.set(std::string(kTypesOfGgufKey), model.keeps_gguf_types);
  MIXTRAL_TRY(PackedWriter writer,
              PackedWriter::create(path, std::move(metadata), std::move(infos)));
  {
    ProgressTask written(progress, "writing " + path, report.n_bytes);
    MatrixPacker packer(writer, written);
    for (const PackedMatrix& matrix : plan)
      MIXTRAL_TRY(packer.pack(*model.weight(matrix.id), matrix));
  }
  MIXTRAL_TRY(writer.finish());
  return report;
}

}  // namespace mixtral
