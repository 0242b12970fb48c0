#include "model/checkpoint.h"

#include <algorithm>
#include <unordered_set>

#include "io/json.h"
#include "io/packed.h"
#include "io/safetensors.h"
#include "model/panel_source.h"
#include "model/read_config.h"
#include "model/tensor_names.h"

namespace mixtral {
namespace {

constexpr uint64_t kConfigLimitBytes = uint64_t{16} << 20;

// Where one matrix begins.
struct MatrixPlace {
  const TensorEntry* entry;
  uint64_t offset_bytes;
};

// Rows as the file has them, or, for wq and wk in half order, in interleaved order.
class FileWeightSource final : public WeightSource {
 public:
  FileWeightSource(std::string name, std::vector<Type> types, const MatrixShape& shape,
                   std::vector<MatrixPlace> places, size_t half_order_head_dim)
      : WeightSource(std::move(name), std::move(types), shape.rows, shape.cols),
        places_(std::move(places)),
        half_order_head_dim_(half_order_head_dim) {}

  std::string matrix_name(size_t matrix) const override {
    const bool apart = places_.size() > 1 && places_[0].entry != places_[1].entry;
    return apart ? places_[matrix].entry->name : WeightSource::matrix_name(matrix);
  }

  Status read_rows(size_t matrix, size_t first_row, size_t n_rows,
                   std::span<std::byte> out) const override {
    const MatrixPlace& place = places_[matrix];
    const size_t bytes = row_bytes(matrix);
    if (half_order_head_dim_ == 0) {
      return place.entry->read(place.offset_bytes + first_row * bytes, out.first(n_rows * bytes));
    }
    for (size_t r = 0; r < n_rows; ++r) {
      const size_t stored = half_order_row(first_row + r, half_order_head_dim_);
      MIXTRAL_TRY(
          place.entry->read(place.offset_bytes + stored * bytes, out.subspan(r * bytes, bytes)));
    }
    return {};
  }

 private:
  std::vector<MatrixPlace> places_;
  size_t half_order_head_dim_;  // 0: rows are in the wanted order
};

std::string name_of(const TensorName& name, size_t layer, size_t expert = 0) {
  return fmt::format(fmt::runtime(name.pattern), layer, expert);
}

// The first of the names that the checkpoint has, or nullptr.
const TensorName* present_name(const TensorTable& tensors, CheckpointKind kind, WeightId id) {
  for (const TensorName& name : tensor_names(kind, id.role)) {
    if (tensors.find(name_of(name, id.layer)) != nullptr) return &name;
  }
  return nullptr;
}

// The shape that the file's tensor must have for such a layout.
std::vector<uint64_t> stored_shape(Role role, const TensorName& name, const MatrixShape& shape) {
  if (is_vector(role)) return {shape.cols};
  switch (name.layout) {
    case TensorLayout::kWhole:
    case TensorLayout::kPerExpert: return {shape.rows, shape.cols};
    case TensorLayout::kStacked: return {shape.n_matrices, shape.rows, shape.cols};
    case TensorLayout::kFusedGate:
    case TensorLayout::kFusedUp: return {shape.n_matrices, 2 * shape.rows, shape.cols};
  }
  return {};
}

std::string described(WeightId id) {
  const bool global =
      id.role == Role::kTokenEmbedding || id.role == Role::kOutputNorm || id.role == Role::kOutput;
  return global ? std::string(role_name(id.role))
                : fmt::format("{} of layer {}", role_name(id.role), id.layer);
}

std::string shape_text(std::span<const uint64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

// Tables of rotary angles, which are computed here, and heads that are stored although they are
// tied.
bool may_be_ignored(std::string_view name, const ModelConfig& config) {
  return name.ends_with("rotary_emb.inv_freq") || name == "rope.freqs" ||
         (config.tied_embeddings && name == "lm_head.weight");
}

}  // namespace

std::string_view role_name(Role role) {
  constexpr std::string_view kNames[] = {
      "token embedding", "output norm", "output", "attention norm", "wq",    "wk", "wv", "wo",
      "ffn norm",        "router",      "w_gate", "w_up",           "w_down"};
  return kNames[static_cast<size_t>(role)];
}

bool is_vector(Role role) {
  return role == Role::kOutputNorm || role == Role::kAttentionNorm || role == Role::kFfnNorm;
}

bool is_expert(Role role) {
  return role == Role::kWGate || role == Role::kWUp || role == Role::kWDown;
}

MatrixShape matrix_shape(const ModelConfig& c, Role role) {
  switch (role) {
    case Role::kTokenEmbedding:
    case Role::kOutput: return {1, c.vocab_size, c.dim};
    case Role::kOutputNorm:
    case Role::kAttentionNorm:
    case Role::kFfnNorm: return {1, 1, c.dim};
    case Role::kWq: return {1, c.n_heads * c.head_dim, c.dim};
    case Role::kWk:
    case Role::kWv: return {1, c.n_kv_heads * c.head_dim, c.dim};
    case Role::kWo: return {1, c.dim, c.n_heads * c.head_dim};
    case Role::kRouter: return {1, c.n_experts, c.dim};
    case Role::kWGate:
    case Role::kWUp: return {c.n_experts, c.hidden_dim, c.dim};
    case Role::kWDown: return {c.n_experts, c.dim, c.hidden_dim};
  }
  return {};
}

std::vector<WeightId> all_weights(const ModelConfig& config) {
  std::vector<WeightId> ids = {{Role::kTokenEmbedding}};
  for (size_t layer = 0; layer < config.n_layers; ++layer) {
    for (const Role role :
         {Role::kAttentionNorm, Role::kWq, Role::kWk, Role::kWv, Role::kWo, Role::kFfnNorm,
          Role::kRouter, Role::kWGate, Role::kWUp, Role::kWDown}) {
      if (role != Role::kRouter || config.has_router()) ids.push_back({role, layer});
    }
  }
  ids.push_back({Role::kOutputNorm});
  if (!config.tied_embeddings) ids.push_back({Role::kOutput});
  return ids;
}

Result<Checkpoint> Checkpoint::open(const std::string& path) {
  Checkpoint checkpoint;
  checkpoint.path_ = path;
  MIXTRAL_TRY(checkpoint.kind_, detect_checkpoint(path));
  switch (checkpoint.kind_) {
    case CheckpointKind::kGguf: MIXTRAL_TRY(checkpoint.open_gguf()); break;
    case CheckpointKind::kPacked: MIXTRAL_TRY(checkpoint.open_packed()); break;
    case CheckpointKind::kHuggingFace:
    case CheckpointKind::kMistral: MIXTRAL_TRY(checkpoint.open_folder()); break;
  }
  MIXTRAL_TRY(checkpoint.check_weights());
  return checkpoint;
}

Status Checkpoint::open_gguf() {
  MIXTRAL_TRY(GgufFile file, GgufFile::open(path_));
  metadata_ = std::move(file.metadata);
  tensors_ = std::move(file.tensors);
  MIXTRAL_TRY(config_, read_gguf_config(path_, metadata_, tensors_));
  return {};
}

Status Checkpoint::open_packed() {
  MIXTRAL_TRY(PackedFile packed, PackedFile::open(path_));
  metadata_ = std::move(packed.metadata);
  tensors_ = std::move(packed.tensors);
  MIXTRAL_TRY(config_, read_gguf_config(path_, metadata_, tensors_));
  MIXTRAL_TRY(mapping_, MappedFile::map(std::move(packed.file)));
  return {};
}

Status Checkpoint::open_folder() {
  const bool is_mistral = kind_ == CheckpointKind::kMistral;
  const std::string file = path_ + (is_mistral ? "/params.json" : "/config.json");
  MIXTRAL_TRY(const Json json, read_json_file(file, kConfigLimitBytes));
  MIXTRAL_TRY(config_, is_mistral ? read_mistral_config(file, json)
                                  : read_hugging_face_config(file, json, warnings_));
  MIXTRAL_TRY(tensors_, open_safetensors_folder(path_));
  return {};
}

std::string_view Checkpoint::architecture() const {
  if (config_.has_router()) return "mixtral";
  return config_.sliding_window != 0 ? "mistral" : "llama";
}

// Every weight is there with the shape that the config asks for, and nothing else is: what the
// config does not mention would be left out of every answer.
Status Checkpoint::check_weights() const {
  std::unordered_set<std::string> used;
  for (const WeightId id : all_weights(config_)) {
    const TensorName* name = present_name(tensors_, kind_, id);
    if (name == nullptr) {
      return fail(ErrorCode::kBadInput, "{}: tensor {} ({}) is missing", path_,
                  name_of(tensor_names(kind_, id.role).front(), id.layer), described(id));
    }
    const MatrixShape shape = matrix_shape(config_, id.role);
    if (name->layout == TensorLayout::kWhole && shape.n_matrices > 1) {
      return fail(ErrorCode::kBadInput, "{}: tensor {} is one matrix, expected {} experts", path_,
                  name_of(*name, id.layer), shape.n_matrices);
    }
    const std::vector<uint64_t> expected = stored_shape(id.role, *name, shape);
    const size_t n_tensors = name->layout == TensorLayout::kPerExpert ? shape.n_matrices : 1;
    for (size_t expert = 0; expert < n_tensors; ++expert) {
      const std::string tensor = name_of(*name, id.layer, expert);
      const TensorEntry* entry = tensors_.find(tensor);
      if (entry == nullptr) {
        return fail(ErrorCode::kBadInput, "{}: tensor {} ({}) is missing", path_, tensor,
                    described(id));
      }
      if (entry->shape != expected) {
        return fail(ErrorCode::kBadInput,
                    "{}: tensor {}: found shape {}, expected {} from the config", path_, tensor,
                    entry->shape_text(), shape_text(expected));
      }
      used.insert(tensor);
    }
  }
  for (const auto& entry : tensors_.entries()) {
    if (used.contains(entry->name) || may_be_ignored(entry->name, config_)) continue;
    return fail(ErrorCode::kBadInput,
                "{}: tensor {} is not part of the model that the config describes (layers: {}, "
                "experts: {})",
                path_, entry->name, config_.n_layers, config_.n_experts);
  }
  return {};
}

std::unique_ptr<WeightSource> Checkpoint::source(WeightId id) const {
  const TensorName* name = present_name(tensors_, kind_, id);
  MIXTRAL_CHECK(name != nullptr, "a weight that this model does not have");
  const MatrixShape shape = matrix_shape(config_, id.role);
  std::vector<MatrixPlace> places;
  std::vector<Type> types;
  for (size_t m = 0; m < shape.n_matrices; ++m) {
    const bool apart = name->layout == TensorLayout::kPerExpert;
    const TensorEntry* entry = tensors_.find(name_of(*name, id.layer, m));
    const bool fused =
        name->layout == TensorLayout::kFusedGate || name->layout == TensorLayout::kFusedUp;
    size_t first_row = apart ? 0 : m * shape.rows * (fused ? 2 : 1);
    if (name->layout == TensorLayout::kFusedUp) first_row += shape.rows;
    places.push_back({entry, first_row * row_bytes(entry->type, shape.cols)});
    types.push_back(entry->type);
  }
  if (mapping_ != nullptr && places.front().entry->in_panels) {
    std::vector<const TensorEntry*> entries;
    entries.reserve(places.size());
    for (const MatrixPlace& place : places) entries.push_back(place.entry);
    return std::make_unique<PanelSource>(name_of(*name, id.layer), std::move(types), shape.rows,
                                         shape.cols, std::move(entries), mapping_);
  }
  const bool rotary = id.role == Role::kWq || id.role == Role::kWk;
  const size_t half_order_head_dim = rotary && has_half_rotary_order(kind_) ? config_.head_dim : 0;
  return std::make_unique<FileWeightSource>(name_of(*name, id.layer), std::move(types), shape,
                                            std::move(places), half_order_head_dim);
}

}  // namespace mixtral
