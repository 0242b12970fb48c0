#include "model/read_config.h"

namespace mixtral {
namespace {

// Typed access to one JSON object that remembers the first failure, so that the lists below stay
// lists.
class Fields {
 public:
  Fields(std::string where, const Json& object) : where_(std::move(where)), object_(object) {}

  const Json* find(std::string_view key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  size_t required(std::string_view key) {
    if (find(key) == nullptr)
      note(fail(ErrorCode::kBadInput, "{}: field {} is missing", where_, key));
    return optional(key, 0);
  }
  size_t optional(std::string_view key, size_t otherwise) {
    const Json* value = find(key);
    if (value == nullptr) return otherwise;
    if (value->is_number_unsigned()) return value->get<size_t>();
    note(fail(ErrorCode::kBadInput, "{}: field {} is {}, expected a whole number", where_, key,
              shown(*value)));
    return otherwise;
  }
  double optional_float(std::string_view key, double otherwise) {
    const Json* value = find(key);
    if (value == nullptr) return otherwise;
    if (value->is_number()) return value->get<double>();
    note(fail(ErrorCode::kBadInput, "{}: field {} is {}, expected a number", where_, key,
              shown(*value)));
    return otherwise;
  }
  bool optional_bool(std::string_view key, bool otherwise) {
    const Json* value = find(key);
    if (value == nullptr) return otherwise;
    if (value->is_boolean()) return value->get<bool>();
    note(fail(ErrorCode::kBadInput, "{}: field {} is {}, expected true or false", where_, key,
              shown(*value)));
    return otherwise;
  }
  std::string optional_string(std::string_view key, std::string otherwise) {
    const Json* value = find(key);
    if (value == nullptr) return otherwise;
    if (value->is_string()) return value->get<std::string>();
    note(fail(ErrorCode::kBadInput, "{}: field {} is {}, expected a string", where_, key,
              shown(*value)));
    return otherwise;
  }
  /// The object at `key`; empty if absent.
  Json object(std::string_view key) {
    const Json* value = find(key);
    if (value == nullptr) return Json::object();
    if (value->is_object()) return *value;
    note(fail(ErrorCode::kBadInput, "{}: field {} is {}, expected an object", where_, key,
              shown(*value)));
    return Json::object();
  }
  void note(Status failure) {
    if (status_) status_ = std::move(failure);
  }
  const std::string& where() const { return where_; }
  const Status& status() const { return status_; }

 private:
  // Short enough for one line, whatever the file holds.
  static std::string shown(const Json& value) {
    std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
    return text.size() <= 40 ? text : text.substr(0, 40) + "…";
  }
  std::string where_;
  const Json& object_;
  Status status_;
};

Status check_object(const std::string& path, const Json& json) {
  if (json.is_object()) return {};
  return fail(ErrorCode::kBadInput, "{}: expected a JSON object", path);
}

// rope_theta stands at the top level (transformers 4) or inside rope_parameters (5); scaling is
// refused.
void read_rope(Fields& fields, ModelConfig& config) {
  config.rope_theta = fields.optional_float("rope_theta", 10000.0);
  for (const std::string_view key : {"rope_parameters", "rope_scaling"}) {
    const Json json = fields.object(key);
    Fields rope(fmt::format("{}, {}", fields.where(), key), json);
    config.rope_theta = rope.optional_float("rope_theta", config.rope_theta);
    const std::string type =
        rope.optional_string("rope_type", rope.optional_string("type", "default"));
    fields.note(rope.status());
    if (type != "default") {
      fields.note(fail(ErrorCode::kUnsupported, "{}: rope type is '{}', expected 'default'",
                       rope.where(), type));
    }
  }
}

void refuse_variants(Fields& fields, const std::string& model_type) {
  if (model_type != "mixtral" && model_type != "mistral" && model_type != "llama") {
    fields.note(fail(ErrorCode::kUnsupported,
                     "{}: model_type is '{}', expected mixtral, mistral or llama", fields.where(),
                     model_type));
  }
  const std::string activation = fields.optional_string("hidden_act", "silu");
  if (activation != "silu") {
    fields.note(fail(ErrorCode::kUnsupported, "{}: hidden_act is '{}', expected 'silu'",
                     fields.where(), activation));
  }
  for (const std::string_view key : {"attention_bias", "mlp_bias"}) {
    if (fields.optional_bool(key, false)) {
      fields.note(
          fail(ErrorCode::kUnsupported, "{}: {} is true, expected no biases", fields.where(), key));
    }
  }
}

// A number, null, or (newer files) a list with one entry per group of layers, which must agree.
size_t mistral_window(Fields& fields) {
  for (const std::string_view key : {"sliding_window", "_sliding_window"}) {
    const Json* value = fields.find(key);
    if (value == nullptr) continue;
    if (!value->is_array()) return fields.optional(key, 0);
    for (const Json& entry : *value) {
      if (entry != value->front() || !entry.is_number_unsigned()) {
        fields.note(fail(ErrorCode::kUnsupported,
                         "{}: {} differs between layers, expected one number", fields.where(),
                         key));
        return 0;
      }
    }
    if (!value->empty()) return value->front().get<size_t>();
  }
  return 0;
}

}  // namespace

Result<ModelConfig> read_hugging_face_config(const std::string& path, const Json& json,
                                             std::vector<std::string>& warnings) {
  MIXTRAL_TRY(check_object(path, json));
  Fields fields(path, json);
  const std::string model_type = fields.optional_string("model_type", "(missing)");
  refuse_variants(fields, model_type);

  ModelConfig config;
  config.dim = fields.required("hidden_size");
  config.n_layers = fields.required("num_hidden_layers");
  config.hidden_dim = fields.required("intermediate_size");
  config.n_heads = fields.required("num_attention_heads");
  config.n_kv_heads = fields.optional("num_key_value_heads", config.n_heads);
  config.head_dim =
      fields.optional("head_dim", config.n_heads == 0 ? 0 : config.dim / config.n_heads);
  config.vocab_size = fields.required("vocab_size");
  config.context_len = fields.required("max_position_embeddings");
  config.norm_eps = static_cast<float>(fields.optional_float("rms_norm_eps", 1e-5));
  config.tied_embeddings = fields.optional_bool("tie_word_embeddings", false);
  config.sliding_window = model_type == "llama" ? 0 : fields.optional("sliding_window", 0);
  if (model_type == "mixtral") {
    config.n_experts = fields.required("num_local_experts");
    config.n_experts_per_token = fields.required("num_experts_per_tok");
  }
  read_rope(fields, config);
  MIXTRAL_TRY(Status(fields.status()));

  if (model_type == "mixtral" && config.sliding_window == 4096 && config.context_len == 32768) {
    warnings.push_back(fmt::format(
        "{}: sliding_window 4096 ignored: early copies of Mixtral 8x7B carry it, but the model was "
        "trained without a window",
        path));
    config.sliding_window = 0;
  }
  MIXTRAL_TRY(validate(config, path));
  return config;
}

Result<ModelConfig> read_mistral_config(const std::string& path, const Json& json) {
  MIXTRAL_TRY(check_object(path, json));
  Fields fields(path, json);
  ModelConfig config;
  config.dim = fields.required("dim");
  config.n_layers = fields.required("n_layers");
  config.hidden_dim = fields.required("hidden_dim");
  config.n_heads = fields.required("n_heads");
  config.n_kv_heads = fields.optional("n_kv_heads", config.n_heads);
  config.head_dim =
      fields.optional("head_dim", config.n_heads == 0 ? 0 : config.dim / config.n_heads);
  config.vocab_size = fields.required("vocab_size");
  config.context_len =
      fields.optional("max_position_embeddings", fields.optional("max_seq_len", 32768));
  config.norm_eps = static_cast<float>(fields.optional_float("norm_eps", 1e-5));
  config.tied_embeddings = fields.optional_bool("tied_embeddings", false);
  config.sliding_window = mistral_window(fields);
  const Json moe_json = fields.object("moe");
  if (!moe_json.empty()) {
    Fields moe(path + ", moe", moe_json);
    config.n_experts = moe.required("num_experts");
    config.n_experts_per_token = moe.required("num_experts_per_tok");
    fields.note(moe.status());
  }
  // Mixtral's own file has no rope_theta; its inference code takes a million for models with
  // experts.
  config.rope_theta = fields.optional_float("rope_theta", config.has_router() ? 1e6 : 1e4);
  MIXTRAL_TRY(Status(fields.status()));
  MIXTRAL_TRY(validate(config, path));
  return config;
}

}  // namespace mixtral
