#include "convert/huggingface_tokenizer.h"

#include <filesystem>

#include "convert/tokenizer_json.h"
#include "io/file.h"
#include "io/json.h"
#include "text/tokenizer_formats.h"

namespace mixtral {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{64} << 20;

// Whatever a folder may say of text. generation_config.json names the tokens that end an answer.
constexpr std::string_view kFileNames[] = {
    "tokenizer.json",          "tokenizer.model",   "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "generation_config.json",
    "chat_template.jinja",     "vocab.json",        "merges.txt"};

using Files = std::map<std::string, std::string>;

Result<Files> copied_files(const std::string& folder) {
  Files files;
  for (const std::string_view name : kFileNames) {
    const std::string path = fmt::format("{}/{}", folder, name);
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(path, ignored)) continue;
    MIXTRAL_TRY(files[std::string(name)], read_text_file(path, kMaxFileBytes));
  }
  return files;
}

std::string text_of(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string tokenizer_config(const ModelSource& model, const Tokenizer& tokenizer) {
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"model_max_length", model.config.context_len},
                 {"clean_up_tokenization_spaces", false},
                 {"add_bos_token", tokenizer.adds_bos()},
                 {"add_eos_token", false}};
  const auto name = [&](const char* key, std::optional<int32_t> id) {
    if (id) config[key] = std::string(tokenizer.piece(*id));
  };
  name("bos_token", tokenizer.bos_id());
  name("eos_token", tokenizer.eos_id());
  name("unk_token", tokenizer.unk_id());
  if (const auto pad = model.metadata.get_u64("tokenizer.ggml.padding_token_id");
      pad && *pad && **pad < tokenizer.vocab_size())
    name("pad_token", static_cast<int32_t>(**pad));
  if (!tokenizer.chat_template_source().empty())
    config["chat_template"] = tokenizer.chat_template_source();
  return text_of(config);
}

std::string generation_config(const Tokenizer& tokenizer) {
  Json config = Json::object();
  if (tokenizer.bos_id()) config["bos_token_id"] = *tokenizer.bos_id();
  const auto ends = tokenizer.end_ids();
  if (ends.size() == 1) config["eos_token_id"] = ends[0];
  if (ends.size() > 1) config["eos_token_id"] = std::vector<int32_t>(ends.begin(), ends.end());
  return text_of(config);
}

}  // namespace

Result<std::map<std::string, std::string>> huggingface_tokenizer_files(const ModelSource& model) {
  Files files;
  if (!model.tokenizer_folder.empty()) {
    MIXTRAL_TRY(files, copied_files(model.tokenizer_folder));
  }
  if (files.contains("tokenizer.json")) return files;
  MIXTRAL_TRY(const auto tokenizer, tokenizer_from_gguf(model.metadata, "metadata"));
  if (tokenizer == nullptr) return files;
  MIXTRAL_TRY(std::string pipeline, tokenizer_json(model.metadata, *tokenizer));
  files.emplace("tokenizer.json", std::move(pipeline));
  files.emplace("tokenizer_config.json", tokenizer_config(model, *tokenizer));
  files.emplace("generation_config.json", generation_config(*tokenizer));
  return files;
}

}  // namespace mixtral
