#include "text_windows.h"

#include "prompt_ids.h"
#include "token_ids.h"

namespace mixtral {
namespace {

Result<std::unique_ptr<Tokenizer>> tokenizer_of(const ModelOptions& model) {
  MIXTRAL_TRY(const std::string path, model_path(model));
  return as_input(Tokenizer::load(path));
}

Result<Windows> cut(std::vector<int32_t> ids, const Tokenizer* tokenizer, WindowOptions options) {
  if (tokenizer != nullptr && tokenizer->adds_bos()) options.bos_id = tokenizer->bos_id();
  return Windows::cut(std::move(ids), options);
}

}  // namespace

Result<Windows> windows_of_text(const ModelOptions& model, const std::string& text_file,
                                WindowOptions options) {
  MIXTRAL_TRY(const std::string text, read_text(text_file));
  MIXTRAL_TRY(const auto tokenizer, tokenizer_of(model));
  MIXTRAL_TRY(need_tokenizer(tokenizer.get()));
  return cut(encode_with_bos(text, *tokenizer), tokenizer.get(), options);
}

Result<Windows> windows_of_ids(const ModelOptions& model, std::vector<int32_t> ids,
                               WindowOptions options) {
  MIXTRAL_TRY(const auto tokenizer, tokenizer_of(model));
  return cut(std::move(ids), tokenizer.get(), options);
}

}  // namespace mixtral
