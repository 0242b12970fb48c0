#include "server/shown_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "text/utf8.h"
#include "text/vocabulary.h"

namespace mixtral {
namespace {

// Without the space that is not part of the text, if the token begins it.
std::string bytes_of(const Tokenizer& tokenizer, int32_t id, bool begins_text) {
  std::string bytes = tokenizer.token_bytes(id);
  if (begins_text && tokenizer.piece(id).starts_with(kSpaceMark)) bytes.erase(0, 1);
  return bytes;
}

// Control tokens by name; others as text.
std::string name_of(const Tokenizer& tokenizer, int32_t id, bool begins_text) {
  return tokenizer.is_control(id) ? std::string(tokenizer.piece(id))
                                  : valid_utf8(bytes_of(tokenizer, id, begins_text));
}

// As valid_utf8(), but bytes that are no text by themselves stay apart: "bytes:\\xf0\\x9f".
std::string legacy_name(std::string_view bytes) {
  std::string text = valid_utf8(bytes);
  if (text == bytes) return text;
  text = "bytes:";
  for (const char byte : bytes) text += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  return text;
}

Json bytes_json(std::string_view bytes) {
  Json list = Json::array();
  for (const char byte : bytes) list.push_back(static_cast<unsigned char>(byte));
  return list;
}

Json alternative_json(const Tokenizer& tokenizer, const TokenLogprob& other, bool begins_text) {
  return {{"token", name_of(tokenizer, other.id, begins_text)},
          {"token_id", other.id},
          {"logprob", finite_logprob(other.logprob)},
          {"bytes", bytes_json(bytes_of(tokenizer, other.id, begins_text))}};
}

}  // namespace

std::string valid_utf8(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const Utf8Character first = first_utf8_character(bytes);
    if (first.kind == Utf8Character::Kind::kValid) {
      text += bytes.substr(0, first.size);
    } else {
      text += kReplacementUtf8;
    }
    bytes.remove_prefix(first.size);
  }
  return text;
}

size_t count_characters(std::string_view bytes) {
  return static_cast<size_t>(std::count_if(bytes.begin(), bytes.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
  }));
}

double finite_logprob(double logprob) {
  constexpr double kLeast = -9999.0;
  return logprob > kLeast ? logprob : kLeast;
}

ShownToken shown_token(const Tokenizer& tokenizer, SampledToken token, bool begins_text) {
  ShownToken shown;
  shown.is_control = tokenizer.is_control(token.id);
  shown.begins_text = begins_text;
  if (!shown.is_control) shown.bytes = bytes_of(tokenizer, token.id, begins_text);
  shown.token = std::move(token);
  return shown;
}

void TokenQueue::push(SampledToken token) {
  const size_t begin = n_text_bytes_;
  n_text_bytes_ += detokenizer_.push(token.id).size();
  ShownToken shown = shown_token(*tokenizer_, std::move(token), begins_text_);
  if (!shown.is_control) begins_text_ = false;
  waiting_.push_back({std::move(shown), begin});
}

std::vector<ShownToken> TokenQueue::take(size_t n_text_bytes, bool last) {
  std::vector<ShownToken> taken;
  for (auto& [shown, begin] : waiting_) {
    const size_t rest = n_text_bytes - std::min(n_text_bytes, begin);
    if (rest == 0 && !(last && shown.is_control)) break;
    if (last && shown.bytes.size() > rest) shown.bytes.resize(rest);
    taken.push_back(std::move(shown));
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(taken.size()));
  return taken;
}

Json chat_logprob_json(const Tokenizer& tokenizer, const ShownToken& shown) {
  Json top = Json::array();
  for (const TokenLogprob& other : shown.token.top)
    top.push_back(alternative_json(tokenizer, other, shown.begins_text));
  return {{"token", valid_utf8(shown.bytes)},
          {"token_id", shown.token.id},
          {"logprob", finite_logprob(shown.token.logprob)},
          {"bytes", bytes_json(shown.bytes)},
          {"top_logprobs", std::move(top)}};
}

Json prompt_logprobs_json(const Tokenizer& tokenizer, std::span<const SampledToken> tokens,
                          bool first_has_logprob) {
  Json list = Json::array();
  for (const SampledToken& token : tokens) {
    if (list.empty() && !first_has_logprob) {
      list.push_back(nullptr);
      continue;
    }
    Json entry = Json::object();
    const auto put = [&](int32_t id, double logprob, Json rank) {
      entry.emplace(std::to_string(id), Json{{"logprob", finite_logprob(logprob)},
                                             {"rank", std::move(rank)},
                                             {"decoded_token", name_of(tokenizer, id, false)}});
    };
    for (size_t i = 0; i < token.top.size(); ++i) put(token.top[i].id, token.top[i].logprob, i + 1);
    put(token.id, token.logprob, nullptr);  // unless it is there
    list.push_back(std::move(entry));
  }
  return list;
}

void LegacyLogprobs::add(const ShownToken& shown, std::string_view text, bool has_logprob) {
  const SampledToken& token = shown.token;
  const auto name = [&](int32_t id) {
    return tokenizer_->is_control(id) ? std::string(tokenizer_->piece(id))
                                      : legacy_name(bytes_of(*tokenizer_, id, shown.begins_text));
  };
  tokens_.push_back(shown.is_control ? name(token.id) : legacy_name(shown.bytes));
  offsets_.push_back(n_characters_);
  n_characters_ += count_characters(text);
  if (!has_logprob) {
    logprobs_.push_back(nullptr);
    top_.push_back(nullptr);
    return;
  }
  Json top = Json::object();
  // Of tokens that read the same the more probable one counts, and it comes first.
  const auto put = [&](const std::string& key, double logprob) {
    const double value = finite_logprob(logprob);
    const auto found = top.find(key);
    if (found == top.end()) {
      top[key] = value;
    } else if (found->get<double>() < value) {
      *found = value;
    }
  };
  for (const TokenLogprob& other : token.top) put(name(other.id), other.logprob);
  put(name(token.id), token.logprob);
  logprobs_.push_back(finite_logprob(token.logprob));
  top_.push_back(std::move(top));
}

Json LegacyLogprobs::take() {
  Json all = {{"tokens", std::move(tokens_)},
              {"token_logprobs", std::move(logprobs_)},
              {"top_logprobs", std::move(top_)},
              {"text_offset", std::move(offsets_)}};
  tokens_ = logprobs_ = top_ = offsets_ = Json::array();
  return all;
}

}  // namespace mixtral
