#include "model/adapter_file.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <utility>

#include "io/folder.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "model/tensor_names.h"
#include "quant/unpack.h"

namespace mixtral {
namespace {

constexpr uint64_t kSettingsLimitBytes = uint64_t{1} << 20;
constexpr size_t kMaxRank = 4096;
constexpr size_t kRankStep = 16;  // rows of a panel
// What mistral-finetune trains with unless it is told otherwise.
constexpr double kDefaultScaling = 2.0;

constexpr const char* kPeftWeights = "adapter_model.safetensors";
constexpr const char* kMistralWeights = "lora.safetensors";

struct AdapterPaths {
  std::string weights, settings;
  bool is_peft = false;
};

AdapterPaths paths_in(const std::filesystem::path& folder, const std::string& name) {
  const bool is_peft = name == kPeftWeights;
  const char* settings = is_peft ? "adapter_config.json" : "params.json";
  return {(folder / name).string(), (folder / settings).string(), is_peft};
}

Result<AdapterPaths> find_paths(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) {
    if (is_pickle_name(path)) return pickle_refused(path);
    const std::filesystem::path file(path);
    return paths_in(file.parent_path(), file.filename().string());
  }
  MIXTRAL_TRY(const auto names, list_folder(path));
  for (const char* name : {kPeftWeights, kMistralWeights}) {
    if (std::find(names.begin(), names.end(), name) != names.end()) return paths_in(path, name);
  }
  const auto pickle = std::find_if(names.begin(), names.end(), is_pickle_name);
  if (pickle != names.end()) return pickle_refused(path + "/" + *pickle);
  return fail(ErrorCode::kNotFound,
              "{}: no adapter, expected {} (of peft) or {} (mistral-finetune)", path, kPeftWeights,
              kMistralWeights);
}

// The member, or nullptr if it is missing or null.
const Json* member(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Result<double> positive_number(const std::string& file, const Json& object, const char* key) {
  const Json* value = member(object, key);
  if (value == nullptr) return fail(ErrorCode::kBadInput, "{}: no {}", file, key);
  const double number = value->is_number() ? value->get<double>() : 0;
  constexpr double kLargest = std::numeric_limits<float>::max();
  if (number > 0 && number <= kLargest) return number;
  return fail(ErrorCode::kBadInput, "{}: {} is {}, expected a number above 0 and up to {}", file,
              key, value->dump(), kLargest);
}

Result<size_t> rank_of(const std::string& file, const Json& object, const char* key) {
  MIXTRAL_TRY(const double rank, positive_number(file, object, key));
  if (rank <= static_cast<double>(kMaxRank) && rank == std::floor(rank)) {
    return static_cast<size_t>(rank);
  }
  return fail(ErrorCode::kBadInput, "{}: {} is {}, expected a whole number from 1 to {}", file, key,
              rank, kMaxRank);
}

// What would change the meaning of the tensors in a way that their names do not tell.
Status check_peft_kind(const std::string& file, const Json& json) {
  const Json* type = member(json, "peft_type");
  if (type == nullptr || *type != "LORA") {
    return fail(ErrorCode::kUnsupported, "{}: peft_type is {}, expected \"LORA\"", file,
                type == nullptr ? "missing" : type->dump());
  }
  for (const char* key :
       {"rank_pattern", "alpha_pattern", "layer_replication", "use_qalora", "use_bdlora",
        "alora_invocation_tokens", "arrow_config", "kasa_config", "monteclora_config"}) {
    const Json* value = member(json, key);
    if (value == nullptr || value->empty() || *value == false) continue;
    return fail(ErrorCode::kUnsupported, "{}: {} is {}, expected none", file, key, value->dump());
  }
  // These take something away from the weights at first.
  const Json* start = member(json, "init_lora_weights");
  std::string name = start != nullptr && start->is_string() ? start->get<std::string>() : "";
  for (char& c : name) {  // any case, as to peft
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  for (const char* other : {"pissa", "olora", "corda", "loftq", "lora_ga"}) {
    if (!name.starts_with(other)) continue;
    return fail(
        ErrorCode::kUnsupported,
        "{}: init_lora_weights is {}: the adapter belongs to other weights than the model's "
        "own; peft can convert it while saving",
        file, start->dump());
  }
  return {};
}

bool may_change(Role role) {
  return is_expert(role) || role == Role::kWq || role == Role::kWk || role == Role::kWv ||
         role == Role::kWo || role == Role::kOutput;
}

// The name of the weight's module: that of its tensor without the end.
std::string module_name(const TensorName& name, bool is_peft, size_t layer, size_t expert) {
  std::string tensor = fmt::format(fmt::runtime(name.pattern), layer, expert);
  tensor.resize(tensor.size() - std::string_view(".weight").size());
  return (is_peft ? "base_model.model." : "") + tensor;
}

// Either side of a change: values in f32, zeros where the file has none.
class AdapterSource final : public WeightSource {
 public:
  struct Layout {
    size_t rows, cols;
    float scale;
    size_t half_order_head_dim;  // 0: rows are in the wanted order
  };

  AdapterSource(std::vector<const TensorEntry*> entries, const Layout& layout)
      : WeightSource(first_name(entries), std::vector<Type>(entries.size(), Type::kF32),
                     layout.rows, layout.cols),
        entries_(std::move(entries)),
        layout_(layout) {}

  std::string matrix_name(size_t matrix) const override {
    return entries_[matrix] == nullptr ? WeightSource::matrix_name(matrix) : entries_[matrix]->name;
  }

  Status read_rows(size_t matrix, size_t first_row, size_t n_rows,
                   std::span<std::byte> out) const override {
    std::memset(out.data(), 0, n_rows * row_bytes(matrix));
    const TensorEntry* entry = entries_[matrix];
    if (entry == nullptr) return {};
    const size_t n_stored = entry->shape[1],
                 stored_bytes = mixtral::row_bytes(entry->type, n_stored);
    std::vector<std::byte> stored(stored_bytes);
    std::vector<float> values(n_stored);
    for (size_t r = 0; r < n_rows; ++r) {
      size_t row = first_row + r;
      if (row >= entry->shape[0]) break;
      if (layout_.half_order_head_dim != 0) row = half_order_row(row, layout_.half_order_head_dim);
      MIXTRAL_TRY(entry->read(row * stored_bytes, stored));
      unpack(entry->type, stored.data(), n_stored, values.data());
      for (float& value : values) value *= layout_.scale;
      std::memcpy(out.data() + r * row_bytes(matrix), values.data(), n_stored * sizeof(float));
    }
    return {};
  }

 private:
  static std::string first_name(const std::vector<const TensorEntry*>& entries) {
    return (*std::find_if(entries.begin(), entries.end(), [](auto* e) { return e != nullptr; }))
        ->name;
  }

  std::vector<const TensorEntry*> entries_;  // nullptr: zeros
  Layout layout_;
};

}  // namespace

size_t AdapterFile::rank() const { return (stored_rank_ + kRankStep - 1) / kRankStep * kRankStep; }

Result<AdapterFile> AdapterFile::open(const std::string& path, const ModelConfig& config) {
  MIXTRAL_TRY(const AdapterPaths paths, find_paths(path));
  AdapterFile adapter;
  adapter.path_ = paths.weights;
  adapter.config_ = config;
  MIXTRAL_TRY(add_safetensors(paths.weights, adapter.tensors_));
  MIXTRAL_TRY(adapter.read_settings(paths.settings, paths.is_peft));
  const auto kind = paths.is_peft ? CheckpointKind::kHuggingFace : CheckpointKind::kMistral;
  if (has_half_rotary_order(kind)) adapter.half_order_head_dim_ = config.head_dim;
  MIXTRAL_TRY(adapter.find_changes(paths.is_peft));
  return adapter;
}

// Scaling and rank. peft: alpha / r, or alpha / sqrt(r) ("A Rank Stabilization Scaling Factor for
// Fine-Tuning with LoRA", arXiv:2312.03732).
Status AdapterFile::read_settings(const std::string& file, bool is_peft) {
  std::error_code ignored;
  scaling_ = kDefaultScaling;
  if (!is_peft && !std::filesystem::exists(file, ignored)) return {};
  MIXTRAL_TRY(const Json json, read_json_file(file, kSettingsLimitBytes));
  if (!json.is_object()) return fail(ErrorCode::kBadInput, "{}: expected an object", file);
  if (!is_peft) {
    const Json* lora = member(json, "lora");
    if (lora == nullptr) return {};
    if (!lora->is_object()) return fail(ErrorCode::kBadInput, "{}: lora is no object", file);
    if (lora->contains("scaling")) {
      MIXTRAL_TRY(scaling_, positive_number(file, *lora, "scaling"));
    }
    if (lora->contains("rank")) {
      MIXTRAL_TRY(stored_rank_, rank_of(file, *lora, "rank"));
    }
    return {};
  }
  MIXTRAL_TRY(check_peft_kind(file, json));
  MIXTRAL_TRY(stored_rank_, rank_of(file, json, "r"));
  MIXTRAL_TRY(const double alpha, positive_number(file, json, "lora_alpha"));
  const Json* use_rslora = member(json, "use_rslora");
  const bool by_root = use_rslora != nullptr && *use_rslora == true;
  const auto rank = static_cast<double>(stored_rank_);
  scaling_ = alpha / (by_root ? std::sqrt(rank) : rank);
  return {};
}

Status AdapterFile::find_changes(bool is_peft) {
  std::vector<WeightId> ids = all_weights(config_);
  if (config_.tied_embeddings) ids.push_back({Role::kOutput});
  UsedTensors used;
  for (const WeightId id : ids) {
    if (may_change(id.role)) MIXTRAL_TRY(find_change(id, is_peft, used));
  }
  return check_all_used(used);
}

Status AdapterFile::find_change(WeightId id, bool is_peft, UsedTensors& used) {
  const auto kind = is_peft ? CheckpointKind::kHuggingFace : CheckpointKind::kMistral;
  const auto wanted =
      is_expert(id.role) && config_.has_router() ? TensorLayout::kPerExpert : TensorLayout::kWhole;
  const MatrixShape shape = matrix_shape(config_, id.role);
  AdapterChange change = {id, {}};
  change.matrices.resize(shape.n_matrices);
  bool any = false;
  for (const TensorName& name : tensor_names(kind, id.role)) {
    if (name.layout != wanted) continue;
    for (size_t m = 0; m < shape.n_matrices; ++m) {
      const std::string module = module_name(name, is_peft, id.layer, m);
      // peft saves the output's own weights beside what changes them, unless it is told not to.
      const TensorEntry* own = tensors_.find(module + ".base_layer.weight");
      if (own != nullptr && id.role == Role::kOutput) {
        MIXTRAL_TRY(check_shape(*own, shape.rows, shape.cols));
        used.insert(own);
      }
      const std::string a = module + ".lora_A.weight", b = module + ".lora_B.weight";
      const AdapterChange::Matrices found = {tensors_.find(a), tensors_.find(b)};
      if (found.a == nullptr && found.b == nullptr) continue;
      if (found.a == nullptr || found.b == nullptr) {
        return fail(ErrorCode::kBadInput, "{}: tensor {} is missing, but {} is there", path_,
                    found.a == nullptr ? a : b, found.a == nullptr ? b : a);
      }
      MIXTRAL_TRY(check_shapes(found, shape));
      change.matrices[m] = found;
      used.insert({found.a, found.b});
      any = true;
    }
  }
  if (any) changes_.push_back(std::move(change));
  return {};
}

Status AdapterFile::check_shape(const TensorEntry& entry, uint64_t rows, uint64_t cols) const {
  if (entry.shape == std::vector<uint64_t>{rows, cols}) return {};
  return fail(ErrorCode::kBadInput, "{}: tensor {}: found shape {}, expected [{}, {}]", path_,
              entry.name, entry.shape_text(), rows, cols);
}

Status AdapterFile::check_shapes(const AdapterChange::Matrices& matrices,
                                 const MatrixShape& shape) {
  if (stored_rank_ == 0 && matrices.a->shape.size() == 2) {
    stored_rank_ = std::clamp<size_t>(matrices.a->shape[0], 1, kMaxRank);
  }
  MIXTRAL_TRY(check_shape(*matrices.a, stored_rank_, shape.cols));
  return check_shape(*matrices.b, shape.rows, stored_rank_);
}

// What is not applied must not be left out silently.
Status AdapterFile::check_all_used(const UsedTensors& used) const {
  if (changes_.empty() && tensors_.size() == used.size()) {
    return fail(ErrorCode::kBadInput, "{}: no tensors that change anything", path_);
  }
  for (const auto& entry : tensors_.entries()) {
    if (used.contains(entry.get())) continue;
    return fail(ErrorCode::kUnsupported,
                "{}: tensor {} changes nothing that this model has and an adapter may change: "
                "attention, experts and output (layers: {}, experts: {})",
                path_, entry->name, config_.n_layers, config_.n_experts);
  }
  return {};
}

std::unique_ptr<WeightSource> AdapterFile::source_a(const AdapterChange& change) const {
  std::vector<const TensorEntry*> entries;
  for (const auto& matrices : change.matrices) entries.push_back(matrices.a);
  const size_t cols = matrix_shape(config_, change.id.role).cols;
  return std::make_unique<AdapterSource>(std::move(entries),
                                         AdapterSource::Layout{rank(), cols, 1.0f, 0});
}

std::unique_ptr<WeightSource> AdapterFile::source_b(const AdapterChange& change) const {
  std::vector<const TensorEntry*> entries;
  for (const auto& matrices : change.matrices) entries.push_back(matrices.b);
  const size_t rows = matrix_shape(config_, change.id.role).rows;
  const bool rotary = change.id.role == Role::kWq || change.id.role == Role::kWk;
  return std::make_unique<AdapterSource>(
      std::move(entries), AdapterSource::Layout{rows, rank(), static_cast<float>(scaling_),
                                                rotary ? half_order_head_dim_ : 0});
}

}  // namespace mixtral
