// GET /v1/models, in a form that the clients of OpenAI, Mistral and vLLM all read.
#include "server/api_context.h"

namespace mixtral {
namespace {

// Adapters are what Mistral's clients call fine-tuned models, whose `job` and `root` they demand;
// vLLM's find the model behind one by `parent`.
Json model_json(const ApiContext& context, const ModelChoice& choice, std::string_view id) {
  const ServedModel& model = context.model;
  const bool chats = model.chat_template.has_value();
  const bool is_base = choice.adapter.empty();
  Json json = {{"id", id},
               {"object", "model"},
               {"created", model.created},
               {"owned_by", "mixtral"},
               {"type", is_base ? "base" : "fine-tuned"},
               {"capabilities",
                {{"completion_chat", chats},
                 {"completion_fim", false},
                 {"function_calling", chats && context.options.tool_emulation},
                 {"fine_tuning", false},
                 {"vision", false},
                 {"classification", false}}},
               {"name", choice.id},
               {"description", model.description},
               {"max_context_length", model.context_len},
               {"aliases", is_base ? model.aliases : std::vector<std::string>{choice.adapter}},
               {"deprecation", nullptr},
               {"default_model_temperature", context.options.chat_temperature},
               {"root", model.id},
               {"parent", is_base ? Json(nullptr) : Json(model.id)},
               {"max_model_len", model.context_len},
               {"permission", Json::array()},
               {"meta",
                {{"n_vocab", model.vocab_size},
                 {"n_ctx_train", model.context_len},
                 {"n_embd", model.dim},
                 {"n_params", model.n_parameters},
                 {"size", model.weight_bytes},
                 {"n_layers", model.n_layers},
                 {"n_experts", model.n_experts},
                 {"n_experts_per_token", model.n_experts_per_token}}}};
  if (!is_base) json["job"] = "";
  return json;
}

}  // namespace

bool ServedModel::answers_to(std::string_view name) const {
  if (name == id) return true;
  for (const std::string& alias : aliases) {
    if (name == alias) return true;
  }
  return false;
}

std::optional<ModelChoice> ServedModel::find(std::string_view name) const {
  if (answers_to(name)) return itself();
  for (const std::string& adapter : adapters) {
    if (name == adapter) return through(adapter);
    if (!name.ends_with(":" + adapter)) continue;
    if (answers_to(name.substr(0, name.size() - adapter.size() - 1))) return through(adapter);
  }
  return std::nullopt;
}

ApiStatus handle_models(ApiContext& context, Call& call) {
  const ServedModel& model = context.model;
  Json data = Json::array();
  data.push_back(model_json(context, model.itself(), model.id));
  for (const std::string& adapter : model.adapters) {
    const ModelChoice choice = model.through(adapter);
    data.push_back(model_json(context, choice, choice.id));
  }
  call.exchange->send(json_response({{"object", "list"}, {"data", std::move(data)}}));
  return {};
}

// Asked for under an alias, it answers to that name: clients compare.
ApiStatus handle_model(ApiContext& context, Call& call) {
  const auto found = context.model.find(call.tail);
  if (!found && !context.options.accept_any_model)
    return tl::unexpected(unknown_model(call.tail.substr(0, 200)));
  const ModelChoice choice = found.value_or(context.model.itself());
  call.exchange->send(json_response(model_json(context, choice, call.tail)));
  return {};
}

}  // namespace mixtral
