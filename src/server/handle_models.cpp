// GET /v1/models, in a form that the clients of OpenAI, Mistral and vLLM all read.
#include "server/api_context.h"

namespace mixtral {
namespace {

Json model_json(const ServedModel& model, std::string_view id) {
  const bool chats = model.chat_template.has_value();
  return {{"id", id},
          {"object", "model"},
          {"created", model.created},
          {"owned_by", "mixtral"},
          {"type", "base"},
          {"capabilities",
           {{"completion_chat", chats},
            {"completion_fim", false},
            {"function_calling", false},
            {"fine_tuning", false},
            {"vision", false},
            {"classification", false}}},
          {"name", model.id},
          {"description", model.description},
          {"max_context_length", model.context_len},
          {"aliases", model.aliases},
          {"deprecation", nullptr},
          {"default_model_temperature", 0.7},
          {"root", model.id},
          {"parent", nullptr},
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
}

}  // namespace

bool ServedModel::answers_to(std::string_view name) const {
  if (name == id) return true;
  for (const std::string& alias : aliases) {
    if (name == alias) return true;
  }
  return false;
}

ApiStatus handle_models(ApiContext& context, Call& call) {
  Json data = Json::array();
  data.push_back(model_json(context.model, context.model.id));
  call.exchange->send(json_response({{"object", "list"}, {"data", std::move(data)}}));
  return {};
}

// Asked for under an alias, it answers to that name: clients compare.
ApiStatus handle_model(ApiContext& context, Call& call) {
  if (!context.options.accept_any_model && !context.model.answers_to(call.tail))
    return tl::unexpected(unknown_model(call.tail.substr(0, 200)));
  call.exchange->send(json_response(model_json(context.model, call.tail)));
  return {};
}

}  // namespace mixtral
