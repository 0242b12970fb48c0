#include "server/prompts.h"

namespace mixtral {
namespace {

constexpr size_t kMaxPrompts = 2048;

}  // namespace

std::vector<int32_t> encode_prompt(const Tokenizer& tokenizer, std::string_view text,
                                   bool add_bos) {
  std::vector<int32_t> ids = tokenizer.encode(text, SpecialText::kParse);
  const auto bos = tokenizer.bos_id();
  if (!add_bos || !tokenizer.adds_bos() || !bos) return ids;
  if (ids.empty() || ids.front() != *bos) ids.insert(ids.begin(), *bos);
  return ids;
}

std::vector<int32_t> read_ids(Fields& fields, std::string_view key, const Json& list,
                              size_t vocab_size) {
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (const Json& value : list) {
    const auto id = whole_number(value);
    if (!id || *id < 0 || static_cast<size_t>(*id) >= vocab_size) {
      fields.refuse(key, "{}: {} is no token id from 0 to {}", fields.name_of(key),
                    value.is_number() ? value.dump() : std::string(kind_of(value)), vocab_size - 1);
      return {};
    }
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

std::vector<GivenPrompt> read_prompts(Fields& fields, std::string_view key,
                                      const Tokenizer& tokenizer, bool add_bos) {
  const size_t vocab_size = tokenizer.vocab_size();
  std::vector<GivenPrompt> prompts;
  const auto add_text = [&](const Json& value) {
    GivenPrompt prompt;
    prompt.text = value.get<std::string>();
    prompt.is_text = true;
    prompt.ids = encode_prompt(tokenizer, prompt.text, add_bos);
    prompts.push_back(std::move(prompt));
  };
  const auto add_ids = [&](const Json& list) {
    prompts.push_back({"", read_ids(fields, key, list, vocab_size), false});
  };
  const Json* value = fields.find(key);
  if (value == nullptr) return prompts;
  if (value->is_string()) {
    add_text(*value);
  } else if (!value->is_array() || value->empty()) {
    fields.refuse(key, "{}: expected a text, texts, token ids or lists of them",
                  fields.name_of(key));
  } else if (value->front().is_number()) {
    add_ids(*value);
  } else if (value->size() > kMaxPrompts) {
    fields.refuse(key, "{}: {} of them, at most {}", fields.name_of(key), value->size(),
                  kMaxPrompts);
  } else {
    for (size_t i = 0; i < value->size() && fields.good(); ++i) {
      const Json& item = (*value)[i];
      if (item.is_string()) {
        add_text(item);
      } else if (item.is_array()) {
        add_ids(item);
      } else {
        fields.refuse(key, "{}[{}] is {}, expected a text or a list of token ids",
                      fields.name_of(key), i, kind_of(item));
      }
    }
  }
  return prompts;
}

}  // namespace mixtral
