#include <algorithm>

#include "model/read_config.h"

namespace mixtral {
namespace {

// Reads "llama.<key>" values and remembers the first failure, so that the list below stays a list.
class Keys {
 public:
  Keys(const std::string& path, const GgufMetadata& metadata) : path_(path), metadata_(metadata) {}

  size_t required(std::string_view key) {
    const std::optional<uint64_t> value = number(key);
    if (!value && status_) {
      status_ = fail(ErrorCode::kBadInput, "{}: key llama.{} is missing", path_, key);
    }
    return value.value_or(0);
  }
  size_t optional(std::string_view key, size_t otherwise) {
    return number(key).value_or(otherwise);
  }
  double optional_float(std::string_view key, double otherwise) {
    return take(metadata_.get_f64(fmt::format("llama.{}", key))).value_or(otherwise);
  }
  const Status& status() const { return status_; }

 private:
  std::optional<uint64_t> number(std::string_view key) {
    return take(metadata_.get_u64(fmt::format("llama.{}", key)));
  }
  template <class T>
  std::optional<T> take(Result<std::optional<T>> value) {
    if (value) return *value;
    if (status_) status_ = with_context(value.error(), path_);
    return std::nullopt;
  }

  const std::string& path_;
  const GgufMetadata& metadata_;
  Status status_;
};

// Variants of the architecture that would compute something else than we do.
Status refuse_variants(const std::string& path, const GgufMetadata& metadata,
                       const TensorTable& tensors) {
  MIXTRAL_TRY(const auto architecture, metadata.get_string("general.architecture"));
  if (architecture.value_or("") != "llama") {
    return fail(
        ErrorCode::kUnsupported,
        "{}: general.architecture is '{}', expected 'llama' (Mixtral, Mistral 7B, Llama 1 and 2)",
        path, architecture.value_or("(missing)"));
  }
  MIXTRAL_TRY(const auto scaling, metadata.get_string("llama.rope.scaling.type"));
  if (scaling && *scaling != "none") {
    return fail(ErrorCode::kUnsupported, "{}: llama.rope.scaling.type is '{}', expected none", path,
                *scaling);
  }
  if (tensors.find("rope_freqs.weight") != nullptr) {
    return fail(ErrorCode::kUnsupported,
                "{}: tensor rope_freqs.weight (scaled rotary embedding) is unsupported", path);
  }
  return {};
}

Result<size_t> vocabulary_size(const std::string& path, const GgufMetadata& metadata,
                               const TensorTable& tensors) {
  MIXTRAL_TRY(const auto* tokens, metadata.get_strings("tokenizer.ggml.tokens"));
  MIXTRAL_TRY(const auto declared, metadata.get_u64("llama.vocab_size"));
  if (declared && tokens != nullptr && *declared != tokens->size()) {
    return fail(ErrorCode::kBadInput,
                "{}: llama.vocab_size is {}, but tokenizer.ggml.tokens has {}", path, *declared,
                tokens->size());
  }
  if (declared) return *declared;
  if (tokens != nullptr) return tokens->size();
  const TensorEntry* embedding = tensors.find("token_embd.weight");
  return embedding == nullptr ? 0 : embedding->shape.front();
}

}  // namespace

Result<ModelConfig> read_gguf_config(const std::string& path, const GgufMetadata& metadata,
                                     const TensorTable& tensors) {
  MIXTRAL_TRY(refuse_variants(path, metadata, tensors));
  Keys keys(path, metadata);
  ModelConfig config;
  config.dim = keys.required("embedding_length");
  config.n_layers = keys.required("block_count");
  config.hidden_dim = keys.required("feed_forward_length");
  config.n_heads = keys.required("attention.head_count");
  config.n_kv_heads = keys.optional("attention.head_count_kv", config.n_heads);
  config.context_len = keys.required("context_length");
  config.head_dim =
      keys.optional("attention.key_length", config.n_heads == 0 ? 0 : config.dim / config.n_heads);
  config.n_experts = std::max<size_t>(1, keys.optional("expert_count", 0));
  config.n_experts_per_token = config.has_router() ? keys.required("expert_used_count") : 1;
  config.sliding_window = keys.optional("attention.sliding_window", 0);
  config.rope_theta = keys.optional_float("rope.freq_base", 10000.0);
  config.norm_eps =
      static_cast<float>(keys.optional_float("attention.layer_norm_rms_epsilon", 1e-5));
  const size_t rotated = keys.optional("rope.dimension_count", config.head_dim);
  const size_t value_length = keys.optional("attention.value_length", config.head_dim);
  MIXTRAL_TRY(Status(keys.status()));
  if (rotated != config.head_dim || value_length != config.head_dim) {
    return fail(
        ErrorCode::kUnsupported,
        "{}: llama.rope.dimension_count is {} and value length {}, expected the head dimension {}",
        path, rotated, value_length, config.head_dim);
  }
  MIXTRAL_TRY(config.vocab_size, vocabulary_size(path, metadata, tensors));
  config.tied_embeddings = tensors.find("output.weight") == nullptr;
  MIXTRAL_TRY(validate(config, path));
  return config;
}

}  // namespace mixtral
