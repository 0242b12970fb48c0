#include "convert/make_model.h"

#include <cmath>
#include <iterator>
#include <map>
#include <tuple>

#include "convert/block_pool.h"
#include "convert/router_source.h"
#include "convert/synthetic_vocabulary.h"
#include "core/rng.h"
#include "model/checkpoint.h"

namespace mixtral {
namespace {

struct NamedShape {
  std::string_view name;
  ModelConfig config;
};

// From the config files that the models were published with.
const NamedShape kShapes[] = {
    {"mixtral-8x7b",
     {.dim = 4096,
      .n_layers = 32,
      .n_heads = 32,
      .n_kv_heads = 8,
      .head_dim = 128,
      .hidden_dim = 14336,
      .n_experts = 8,
      .n_experts_per_token = 2,
      .vocab_size = 32000,
      .context_len = 32768,
      .rope_theta = 1e6}},
    {"mixtral-8x22b",
     {.dim = 6144,
      .n_layers = 56,
      .n_heads = 48,
      .n_kv_heads = 8,
      .head_dim = 128,
      .hidden_dim = 16384,
      .n_experts = 8,
      .n_experts_per_token = 2,
      .vocab_size = 32000,
      .context_len = 65536,
      .rope_theta = 1e6}},
    {"mistral-7b",
     {.dim = 4096,
      .n_layers = 32,
      .n_heads = 32,
      .n_kv_heads = 8,
      .head_dim = 128,
      .hidden_dim = 14336,
      .vocab_size = 32000,
      .context_len = 32768,
      .sliding_window = 4096}},
    {"llama-2-7b",
     {.dim = 4096,
      .n_layers = 32,
      .n_heads = 32,
      .n_kv_heads = 32,
      .head_dim = 128,
      .hidden_dim = 11008,
      .vocab_size = 32000,
      .context_len = 4096}},
    {"llama-2-13b",
     {.dim = 5120,
      .n_layers = 40,
      .n_heads = 40,
      .n_kv_heads = 40,
      .head_dim = 128,
      .hidden_dim = 13824,
      .vocab_size = 32000,
      .context_len = 4096}},
    {"llama-2-70b",
     {.dim = 8192,
      .n_layers = 80,
      .n_heads = 64,
      .n_kv_heads = 8,
      .head_dim = 128,
      .hidden_dim = 28672,
      .vocab_size = 32000,
      .context_len = 4096}},
};

/// A norm weight: ones.
class OnesSource final : public WeightSource {
 public:
  explicit OnesSource(size_t dim) : WeightSource("norm", {Type::kF32}, 1, dim) {}

  Status read_rows(size_t, size_t, size_t, std::span<std::byte> out) const override {
    constexpr float kOne = 1.0f;
    for (size_t c = 0; c < cols(); ++c)
      std::memcpy(out.data() + c * sizeof kOne, &kOne, sizeof kOne);
    return {};
  }
};

/// Gives out the weights of one random model. Not thread-safe, unlike the weights.
class RandomWeights {
 public:
  explicit RandomWeights(RandomModelOptions options) : options_(std::move(options)) {}

  std::unique_ptr<WeightSource> weight(WeightId id) {
    const ModelConfig& config = options_.config;
    if (is_vector(id.role)) return std::make_unique<OnesSource>(config.dim);
    if (id.role == Role::kRouter)
      return make_random_router({.layer = id.layer,
                                 .n_experts = config.n_experts,
                                 .dim = config.dim,
                                 .seed = options_.seed,
                                 .standard_deviation = 1.0 / std::sqrt(double(config.dim)),
                                 .skew = options_.skew});
    const MatrixShape shape = matrix_shape(config, id.role);
    // Embeddings outweigh what the layers add, so that tokens stay apart and routers see variety.
    const double scale =
        id.role == Role::kTokenEmbedding ? 1.0 : 1.0 / std::sqrt(double(shape.cols));
    return make_pool_weight(
        std::string(role_name(id.role)), shape.n_matrices, shape.rows,
        pool(type_in_mix(*options_.mix, config, id, shape.cols), shape.cols, scale), seed_of(id));
  }

 private:
  std::shared_ptr<const BlockPool> pool(Type type, size_t cols, double scale) {
    auto& pool = pools_[{type, cols, scale}];
    if (pool == nullptr) pool = std::make_shared<BlockPool>(type, cols, scale);
    return pool;
  }

  /// Far from that of every other weight: rows count up from it.
  uint64_t seed_of(WeightId id) const {
    return Rng(Rng(options_.seed).next() + (id.layer << 8) + static_cast<uint64_t>(id.role)).next();
  }

  RandomModelOptions options_;
  std::map<std::tuple<Type, size_t, double>, std::shared_ptr<const BlockPool>> pools_;
};

}  // namespace

std::vector<std::string_view> model_shape_names() {
  std::vector<std::string_view> names;
  for (const NamedShape& shape : kShapes) names.push_back(shape.name);
  return names;
}

std::optional<ModelConfig> model_shape(std::string_view name) {
  for (const NamedShape& shape : kShapes)
    if (shape.name == name) return shape.config;
  return std::nullopt;
}

Result<ModelSource> make_random_model(const RandomModelOptions& options) {
  MIXTRAL_TRY(validate(options.config, options.name));
  ModelSource model;
  model.config = options.config;
  model.keeps_gguf_types = true;
  model.metadata.set("general.architecture", std::string("llama"));
  model.metadata.set("general.name", options.name);
  MIXTRAL_TRY(add_synthetic_vocabulary(options.config.vocab_size, model.metadata));
  model.weight = [weights = std::make_shared<RandomWeights>(options)](WeightId id) {
    return weights->weight(id);
  };
  return model;
}

}  // namespace mixtral
