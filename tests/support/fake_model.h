// A served model without an engine: every byte is a token, and answers spell the alphabet.
#pragma once

#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/stream_state.h"
#include "server/served_model.h"
#include "text/detokenizer.h"

namespace mixtral::testing {

/// Ids 0 to 255 are bytes; 256 is BOS, 257 ends answers.
class ByteTokenizer : public Tokenizer {
 public:
  static constexpr int32_t kBos = 256, kEnd = 257;

  ByteTokenizer() : Tokenizer(traits()) {
    for (int byte = 0; byte < 256; ++byte) pieces_.emplace_back(1, static_cast<char>(byte));
    pieces_.insert(pieces_.end(), {"<s>", "</s>"});
  }

  size_t vocab_size() const override { return pieces_.size(); }
  std::vector<int32_t> encode(std::string_view text, SpecialText) const override {
    std::vector<int32_t> ids;
    for (const char byte : text) ids.push_back(static_cast<unsigned char>(byte));
    return ids;
  }
  std::string decode(std::span<const int32_t> ids) const override {
    Detokenizer detokenizer(*this, false);
    std::string text;
    for (const int32_t id : ids) text += detokenizer.push(id);
    return text + detokenizer.finish();
  }
  std::string token_bytes(int32_t id) const override {
    return id >= 0 && id < 256 ? pieces_[static_cast<size_t>(id)] : std::string();
  }
  std::string_view piece(int32_t id) const override {
    return id >= 0 && id <= kEnd ? std::string_view(pieces_[static_cast<size_t>(id)])
                                 : std::string_view();
  }
  std::optional<int32_t> find_piece(std::string_view piece) const override {
    for (int32_t id = 0; id <= kEnd; ++id) {
      if (pieces_[static_cast<size_t>(id)] == piece) return id;
    }
    return std::nullopt;
  }
  bool is_control(int32_t id) const override { return id >= 256; }

 private:
  static TokenizerTraits traits() {
    TokenizerTraits traits;
    traits.bos_id = kBos;
    traits.eos_id = kEnd;
    traits.end_ids = {kEnd};
    traits.adds_bos = true;
    return traits;
  }
  std::vector<std::string> pieces_;
};

/// `submit` must be set. `tokenizer` must outlive the result.
inline ServedModel fake_model(const Tokenizer& tokenizer) {
  ServedModel model;
  model.id = "fake";
  model.adapters = {"tuned"};
  model.tokenizer = &tokenizer;
  model.chat_template = ChatTemplate(ChatFormat::kMistral, tokenizer);
  model.context_len = 4096;
  model.dim = 4;
  model.vocab_size = tokenizer.vocab_size();
  model.n_layers = 2;
  model.n_experts = 4;
  model.n_experts_per_token = 2;
  model.stats = [] { return EngineStats(); };
  return model;
}

/// Answers requests with the alphabet, each on a thread of its own that the destructor waits for.
/// Answers to prompts that end with "!" fail after three letters.
class FakeEngine {
 public:
  ~FakeEngine() {
    for (std::thread& thread : threads_) thread.join();
  }

  Result<Stream> submit(Request request) {
    const auto state = std::make_shared<StreamState>();
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([state, request = std::move(request)] { answer(*state, request); });
    return Stream(state);
  }

 private:
  static void answer(StreamState& state, const Request& request) {
    PromptRead read;
    read.n_tokens = request.prompt_ids.size();
    if (request.embedding) read.embedding = {1, 0, 0, 0};
    state.push(std::move(read), request.prompt_only);
    if (request.prompt_only) return;
    const size_t max_tokens = request.max_tokens == 0 ? 26 : request.max_tokens;
    const bool fails = request.prompt_ids.back() == '!';
    AnswerEnd end;
    end.reason = FinishReason::kLength;
    for (size_t i = 0; i < max_tokens && end.reason == FinishReason::kLength; ++i) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      const auto letter = static_cast<char>('a' + i % 26);
      ++end.n_tokens;
      if (state.cancelled()) end.reason = FinishReason::kCancelled;
      if (fails && i == 3) {
        end.reason = FinishReason::kError;
        end.error = Error{ErrorCode::kDevice, "not a number"};
        break;
      }
      state.push(AnswerToken{0, SampledToken{letter, 0, {}}, std::string(1, letter), std::nullopt},
                 false);
    }
    state.push(std::move(end), true);
  }

  std::mutex mutex_;
  std::vector<std::thread> threads_;
};

}  // namespace mixtral::testing
