#include "prompt_ids.h"

#include "token_ids.h"

namespace mixtral {

Status need_tokenizer(const Tokenizer* tokenizer) {
  if (tokenizer != nullptr) return {};
  return fail(ErrorCode::kNotFound,
              "the checkpoint has no tokenizer: give token ids with --ids or --ids-file");
}

std::vector<int32_t> encode_with_bos(std::string_view text, const Tokenizer& tokenizer) {
  std::vector<int32_t> ids = tokenizer.encode(text);
  if (tokenizer.adds_bos() && tokenizer.bos_id()) ids.insert(ids.begin(), *tokenizer.bos_id());
  return ids;
}

Result<std::vector<int32_t>> given_ids(const std::string& ids, const std::string& ids_file) {
  MIXTRAL_TRY(auto given, ids_file.empty() ? parse_ids(ids, "--ids") : read_ids_file(ids_file));
  if (given.empty()) return fail(ErrorCode::kBadInput, "no token ids, expected at least one");
  return given;
}

}  // namespace mixtral
