// /tokenize, /detokenize, /tokenizer_info, /apply-template: prompts as the model sees them.
#include <utility>

#include "server/answer_fields.h"
#include "server/chat_request.h"
#include "server/prompts.h"
#include "server/shown_tokens.h"
#include "text/utf8.h"

namespace mixtral {
namespace {

bool is_utf8(std::string_view bytes) { return valid_utf8(bytes) == bytes; }

Json piece_json(const Tokenizer& tokenizer, int32_t id) {
  if (tokenizer.is_control(id)) return std::string(tokenizer.piece(id));
  const std::string bytes = tokenizer.token_bytes(id);
  if (is_utf8(bytes)) return bytes;
  Json list = Json::array();
  for (const char byte : bytes) list.push_back(static_cast<unsigned char>(byte));
  return list;
}

// A body of "prompt" (vLLM), "messages" (vLLM) or "content" (llama-server), in this order.
ApiResult<std::vector<int32_t>> ids_of(Fields& fields, const ApiContext& context) {
  const Tokenizer& tokenizer = *context.model.tokenizer;
  const bool add_special_tokens = fields.boolean("add_special_tokens", true);
  const bool add_bos = fields.boolean("add_special", false);
  const bool parse = fields.boolean("parse_special", true);
  const auto prompt = fields.text("prompt"), content = fields.text("content");
  const bool has_messages = fields.array("messages") != nullptr;
  MIXTRAL_TRY(fields.status());
  if (prompt) return encode_prompt(tokenizer, *prompt, add_special_tokens);
  if (has_messages) {
    const ChatInput input = read_chat_input(fields, context.options);
    MIXTRAL_TRY(fields.status());
    MIXTRAL_TRY(RenderedChat chat, render_chat(context, input));
    return std::move(chat.ids);
  }
  if (!content) fields.refuse("prompt", "prompt: missing (or messages, or content)");
  MIXTRAL_TRY(fields.status());
  if (parse) return encode_prompt(tokenizer, *content, add_bos);
  std::vector<int32_t> ids = tokenizer.encode(*content);
  if (add_bos && tokenizer.adds_bos() && tokenizer.bos_id())
    ids.insert(ids.begin(), *tokenizer.bos_id());
  return ids;
}

Json name_of(const Tokenizer& tokenizer, std::optional<int32_t> id) {
  return id ? Json(std::string(tokenizer.piece(*id))) : Json(nullptr);
}

// The dialogue of a request as the prompt that it becomes.
ApiResult<RenderedChat> chat_of(const ApiContext& context, Call& call) {
  MIXTRAL_TRY(const ChatRequest request, read_chat_request(context, call));
  return render_chat(context, request.input);
}

}  // namespace

ApiStatus handle_tokenize(ApiContext& context, Call& call) {
  Fields fields(call.body);
  read_model(fields, context, call);
  const Tokenizer& tokenizer = *context.model.tokenizer;
  MIXTRAL_TRY(const auto ids, ids_of(fields, context));
  const bool with_strings = fields.boolean("return_token_strs", false);
  const bool with_pieces = fields.boolean("with_pieces", false);
  MIXTRAL_TRY(finish_fields(fields, context));

  Json body = {
      {"object", "tokens"}, {"count", ids.size()}, {"max_model_len", context.model.context_len}};
  Json& tokens = body["tokens"] = Json::array();
  Json strings = Json::array();
  for (const int32_t id : ids) {
    tokens.push_back(with_pieces ? Json{{"id", id}, {"piece", piece_json(tokenizer, id)}}
                                 : Json(id));
    if (with_strings) strings.push_back(std::string(tokenizer.piece(id)));
  }
  body["token_strs"] = with_strings ? std::move(strings) : Json(nullptr);
  call.exchange->send(json_response(body));
  return {};
}

ApiStatus handle_detokenize(ApiContext& context, Call& call) {
  Fields fields(call.body);
  read_model(fields, context, call);
  const Json* tokens = fields.array("tokens");
  if (tokens == nullptr) fields.refuse("tokens", "tokens: missing");
  MIXTRAL_TRY(fields.status());
  const auto ids = read_ids(fields, "tokens", *tokens, context.model.vocab_size);
  MIXTRAL_TRY(finish_fields(fields, context));
  const std::string text = context.model.tokenizer->decode(ids);
  call.exchange->send(json_response({{"object", "text"}, {"prompt", text}, {"content", text}}));
  return {};
}

ApiStatus handle_tokenizer_info(ApiContext& context, Call& call) {
  const Tokenizer& tokenizer = *context.model.tokenizer;
  const std::string& source = tokenizer.chat_template_source();
  call.exchange->send(json_response(
      {{"object", "tokenizer_info"},
       {"tokenizer_class", tokenizer.adds_space_prefix() ? "LlamaTokenizer" : "GPT2Tokenizer"},
       {"vocab_size", tokenizer.vocab_size()},
       {"model_max_length", context.model.context_len},
       {"bos_token", name_of(tokenizer, tokenizer.bos_id())},
       {"eos_token", name_of(tokenizer, tokenizer.eos_id())},
       {"unk_token", name_of(tokenizer, tokenizer.unk_id())},
       {"pad_token", nullptr},
       {"add_bos_token", tokenizer.adds_bos()},
       {"add_eos_token", false},
       {"chat_template", source.empty() ? Json(nullptr) : Json(source)}}));
  return {};
}

ApiStatus handle_apply_template(ApiContext& context, Call& call) {
  MIXTRAL_TRY(const RenderedChat chat, chat_of(context, call));
  call.exchange->send(
      json_response({{"object", "prompt"}, {"prompt", chat.text}, {"tokens", chat.ids}}));
  return {};
}

ApiStatus handle_count_tokens(ApiContext& context, Call& call) {
  MIXTRAL_TRY(const RenderedChat chat, chat_of(context, call));
  call.exchange->send(
      json_response({{"object", "input_tokens"}, {"input_tokens", chat.ids.size()}}));
  return {};
}

}  // namespace mixtral
