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

Result<std::vector<int32_t>> given_ids(const GivenIds& given, const Tokenizer* tokenizer) {
  std::vector<int32_t> ids;
  if (!given.text_file.empty()) {
    MIXTRAL_TRY(need_tokenizer(tokenizer));
    MIXTRAL_TRY(const std::string text, read_text(given.text_file));
    ids = encode_with_bos(text, *tokenizer);
  } else if (!given.ids_file.empty()) {
    MIXTRAL_TRY(ids, read_ids_file(given.ids_file));
  } else {
    MIXTRAL_TRY(ids, parse_ids(given.ids, "--ids"));
  }
  if (ids.empty()) return fail(ErrorCode::kBadInput, "no token ids, expected at least one");
  return ids;
}

}  // namespace mixtral
