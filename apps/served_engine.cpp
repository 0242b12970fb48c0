#include "served_engine.h"

#include <fmt/format.h>

#include <chrono>

#include "dialogue.h"
#include "model_options.h"
#include "prompt_ids.h"

namespace mixtral {
namespace {

// What clients call Mixtral 8x7B: Mistral's own names, Hugging Face's, Ollama's.
constexpr const char* kUsualNames[] = {"mixtral",
                                       "mixtral:8x7b",
                                       "mixtral-8x7b-instruct",
                                       "mistral-small",
                                       "mistral-small-2312",
                                       "open-mixtral-8x7b",
                                       "mistral-embed",
                                       "mistral-tiny",
                                       "mistralai/Mixtral-8x7B-Instruct-v0.1",
                                       "mistralai/Mixtral-8x7B-v0.1"};

std::string id_of(const std::string& path) {
  const std::string name = name_of_path(path);
  return name.empty() || name == "default" ? "mixtral-default" : name;
}

std::string description_of(const ModelConfig& config) {
  const double billions = static_cast<double>(config.n_parameters()) / 1e9;
  if (!config.has_router())
    return fmt::format("{:.2f} billion parameters, {} layers, dense", billions, config.n_layers);
  return fmt::format("{:.2f} billion parameters, {} layers of {} experts, {} for each token",
                     billions, config.n_layers, config.n_experts, config.n_experts_per_token);
}

}  // namespace

Result<ServedModel> served_model(Engine& engine, const ServedNames& names) {
  const Tokenizer* tokenizer = engine.tokenizer();
  if (tokenizer == nullptr) {
    return fail(ErrorCode::kNotFound, "{}: a server needs a model with a tokenizer",
                engine.checkpoint().path());
  }
  const ModelConfig& config = engine.model().config();
  ServedModel model;
  model.id = names.id.empty() ? id_of(engine.checkpoint().path()) : names.id;
  model.aliases = names.aliases;
  model.aliases.insert(model.aliases.end(), std::begin(kUsualNames), std::end(kUsualNames));
  model.adapters = engine.adapter_names();
  for (const std::string& adapter : model.adapters) {
    if (model.answers_to(adapter))
      return fail(ErrorCode::kBadInput, "--lora {}=…: the model itself answers to this name",
                  adapter);
  }
  model.description = description_of(config);
  model.created = std::chrono::duration_cast<std::chrono::seconds>(
                      std::chrono::system_clock::now().time_since_epoch())
                      .count();
  model.tokenizer = tokenizer;
  if (auto chat = chat_template_of(names.chat_template, *tokenizer)) {
    model.chat_template = *std::move(chat);
  } else if (!names.chat_template.empty()) {
    return tl::unexpected(chat.error());
  } else {
    model.why_no_chat = chat.error().message;
  }
  model.context_len = engine.context_len();
  model.dim = config.dim;
  model.vocab_size = config.vocab_size;
  model.n_layers = config.n_layers;
  model.n_experts = config.n_experts;
  model.n_experts_per_token = config.n_experts_per_token;
  model.n_parameters = config.n_parameters();
  model.weight_bytes = engine.model().weight_bytes();
  model.fingerprint =
      fmt::format("mixtral-{}-{:x}-{:x}", MIXTRAL_VERSION, model.n_parameters, model.weight_bytes);
  model.submit = [&engine](Request request) { return engine.submit(std::move(request)); };
  model.stats = [&engine] { return engine.stats(); };
  return model;
}

}  // namespace mixtral
