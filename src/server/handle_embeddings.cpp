// POST /v1/embeddings: means of the model's final hidden states.
#include <cmath>
#include <utility>

#include "server/answer_fields.h"
#include "server/answer_shape.h"
#include "server/prompts.h"

namespace mixtral {
namespace {

// Cut to its first numbers and brought back to length 1.
std::vector<float> shortened(std::vector<float> embedding, size_t n) {
  if (n >= embedding.size()) return embedding;
  embedding.resize(n);
  double sum = 0;
  for (const float x : embedding) sum += double{x} * double{x};
  const double length = std::sqrt(sum);
  for (float& x : embedding) x = length > 0 ? static_cast<float>(x / length) : 0.0f;
  return embedding;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      const uint32_t byte = i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0;
      group = (group << 8) | byte;
    }
    for (size_t j = 0; j < 4; ++j) {
      const bool beyond = i + j > bytes.size();
      text.push_back(beyond ? '=' : kDigits[(group >> (18 - 6 * j)) & 63]);
    }
  }
  return text;
}

// Little-endian floats, as the machines are that this runs on.
Json embedding_json(const std::vector<float>& embedding, bool as_base64) {
  if (!as_base64) return embedding;
  return base64(
      {reinterpret_cast<const char*>(embedding.data()), embedding.size() * sizeof(float)});
}

class EmbeddingSink : public AnswerSink {
 public:
  EmbeddingSink(std::shared_ptr<Exchange> exchange, Json head, size_t n_inputs, size_t n_numbers,
                bool as_base64)
      : exchange_(std::move(exchange)),
        body_(std::move(head)),
        embeddings_(n_inputs),
        n_numbers_(n_numbers),
        as_base64_(as_base64) {}

  void on_prompt(size_t prompt, PromptRead read) override {
    embeddings_[prompt] = shortened(std::move(read.embedding), n_numbers_);
    n_tokens_ += read.n_tokens;
  }
  void on_token(size_t, AnswerToken) override {}
  void on_end(size_t, AnswerEnd) override {}

  void finish() override {
    Json& data = body_["data"] = Json::array();
    for (size_t i = 0; i < embeddings_.size(); ++i) {
      data.push_back({{"object", "embedding"},
                      {"index", i},
                      {"embedding", embedding_json(embeddings_[i], as_base64_)}});
    }
    body_["usage"] = Usage{n_tokens_, 0, 0}.json();
    exchange_->send(json_response(body_));
  }
  void fail(const ApiError& error) override { exchange_->send(error_response(error)); }

 private:
  std::shared_ptr<Exchange> exchange_;
  Json body_;
  std::vector<std::vector<float>> embeddings_;
  size_t n_numbers_, n_tokens_ = 0;
  bool as_base64_;
};

size_t read_dimensions(Fields& fields, size_t dim) {
  size_t n = dim;
  for (const char* name : {"dimensions", "output_dimension"}) {
    if (const auto given = fields.integer(name, 1, static_cast<int64_t>(dim)))
      n = static_cast<size_t>(*given);
  }
  return n;
}

}  // namespace

ApiStatus handle_embeddings(ApiContext& context, Call& call) {
  Fields fields(call.body);
  read_model(fields, context, call);
  const auto format = fields.choice("encoding_format", {"float", "base64"});
  fields.choice("output_dtype", {"float"});
  const size_t n_numbers = read_dimensions(fields, context.model.dim);
  fields.ignore({"user", "metadata"});
  if (fields.find("input") == nullptr) fields.refuse("input", "input: missing");
  auto prompts = read_prompts(fields, "input", *context.model.tokenizer, true);
  for (const GivenPrompt& prompt : prompts) {
    const bool empty = prompt.is_text ? prompt.text.empty() : prompt.ids.empty();
    if (empty) fields.refuse("input", "input: an empty text has no embedding");
  }
  MIXTRAL_TRY(finish_fields(fields, context));

  std::vector<Request> requests;
  for (GivenPrompt& prompt : prompts) {
    if (prompt.ids.size() > context.model.context_len)
      return tl::unexpected(prompt_too_long(prompt.ids.size(), context.model.context_len));
    Request request;
    request.prompt_ids = std::move(prompt.ids);
    request.prompt_only = request.embedding = true;
    request.adapter = call.model.adapter;
    request.cache_salt = call.tenant + "\n";
    request.client = call.client();
    requests.push_back(std::move(request));
  }
  const AnswerHead head = make_answer_head(context, call, "embd-", "list");
  auto sink = std::make_unique<EmbeddingSink>(call.exchange, head.json(), requests.size(),
                                              n_numbers, format == "base64");
  return Job::start(context, call.exchange, std::move(requests), std::move(sink));
}

}  // namespace mixtral
