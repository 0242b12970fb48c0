// The model behind a server, as far as the server needs to know it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "engine/request.h"
#include "engine/stats.h"
#include "engine/stream.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace mixtral {

/// What a request may ask for by name: the model as it is, or through an adapter.
struct ModelChoice {
  std::string id;
  std::string adapter;  ///< as Request::adapter
};

struct ServedModel {
  std::string id;
  std::vector<std::string> aliases;
  std::vector<std::string> adapters;  ///< each is a model of its own, "ID:ADAPTER"
  std::string description;  ///< for people: "Mixtral, 8 experts of which 2 answer, 32 layers"
  std::string fingerprint;  ///< of program and weights
  int64_t created = 0;      ///< seconds since 1970

  const Tokenizer* tokenizer = nullptr;       ///< outlives the server
  std::optional<ChatTemplate> chat_template;  ///< not every model was trained on dialogues
  std::string why_no_chat;                    ///< without a template: how to get one

  size_t context_len = 0, dim = 0, vocab_size = 0, n_layers = 0;
  size_t n_experts = 1, n_experts_per_token = 1;  ///< 1 expert: a dense model, which routes nothing
  uint64_t n_parameters = 0, weight_bytes = 0;

  /// Thread-safe both. kBusy: the queue is full.
  std::function<Result<Stream>(Request request)> submit;
  std::function<EngineStats()> stats;

  /// Whether it is the id or an alias.
  bool answers_to(std::string_view name) const;
  /// The model itself comes before an adapter of the same name; nullopt for a name of neither.
  std::optional<ModelChoice> find(std::string_view name) const;
  ModelChoice itself() const { return {id, ""}; }
  ModelChoice through(const std::string& adapter) const { return {id + ":" + adapter, adapter}; }
};

}  // namespace mixtral
