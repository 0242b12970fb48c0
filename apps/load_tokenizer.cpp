#include "load_tokenizer.h"

namespace mixtral {

Result<std::unique_ptr<Tokenizer>> load_tokenizer(const ModelOptions& options) {
  MIXTRAL_TRY(const std::string path, model_path(options));
  MIXTRAL_TRY(auto tokenizer, as_input(Tokenizer::load(path)));
  if (tokenizer == nullptr) return fail(ErrorCode::kNotFound, "{}: has no tokenizer", path);
  return tokenizer;
}

}  // namespace mixtral
