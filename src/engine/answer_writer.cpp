#include "engine/answer_writer.h"

#include <algorithm>
#include <utility>

#include "core/check.h"

namespace mixtral {
namespace {

SamplingOptions sampling_of(const Request& request, size_t index) {
  SamplingOptions sampling = request.sampling;
  sampling.seed += index;
  return sampling;
}

}  // namespace

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kCancelled: return "cancelled";
    case FinishReason::kDeadline: return "deadline";
    case FinishReason::kError: return "error";
  }
  MIXTRAL_CHECK(false, "unknown finish reason");
}

AnswerWriter::AnswerWriter(const Request& request, size_t index, const AnswerSetting& setting,
                           std::optional<GrammarMatcher> matcher)
    : request_(request),
      index_(index),
      setting_(setting),
      sampler_(sampling_of(request, index), setting.vocab_size),
      text_(setting.tokenizer, request.stop, request.strip_leading_space),
      matcher_(std::move(matcher)) {
  for (const int32_t id : request.prompt_ids) sampler_.observe(id, false);
  if (request.min_tokens == 0) return;
  no_end_mask_.resize((setting.vocab_size + 63) / 64, 0);
  for (size_t id = 0; id < setting.vocab_size; ++id) {
    if (!ends_answer(static_cast<int32_t>(id))) no_end_mask_[id / 64] |= uint64_t{1} << (id % 64);
  }
}

bool AnswerWriter::ends_answer(int32_t id) const {
  const auto has = [id](std::span<const int32_t> ids) {
    return std::find(ids.begin(), ids.end(), id) != ids.end();
  };
  const bool may_end = !request_.ignore_end && setting_.tokenizer != nullptr;
  return has(request_.stop_ids) || (may_end && has(setting_.tokenizer->end_ids()));
}

// What the next token may be. A text that is complete by its grammar may end early.
TokenMask AnswerWriter::allowed_tokens() {
  const bool may_end = n_tokens_ >= request_.min_tokens;
  if (!matcher_) return may_end ? TokenMask() : TokenMask(no_end_mask_);
  const TokenMask of_grammar = matcher_->allowed();
  mask_.assign(of_grammar.begin(), of_grammar.end());
  mask_.resize((setting_.vocab_size + 63) / 64, 0);
  if (may_end) return mask_;
  bool leaves_some = false;
  for (size_t i = 0; i < mask_.size(); ++i) leaves_some |= (mask_[i] & no_end_mask_[i]) != 0;
  for (size_t i = 0; leaves_some && i < mask_.size(); ++i) mask_[i] &= no_end_mask_[i];
  return mask_;
}

AnswerEnd AnswerWriter::make_end(FinishReason reason) const {
  AnswerEnd end;
  end.answer = index_;
  end.reason = reason;
  end.n_tokens = n_tokens_;
  return end;
}

Result<AnswerToken> AnswerWriter::next(std::span<const float> logits) {
  MIXTRAL_TRY(SampledToken token, sampler_.sample(logits, allowed_tokens()));
  const int32_t id = token.id;
  sampler_.observe(id, true);
  n_tokens_ += 1;
  if (matcher_) MIXTRAL_CHECK(matcher_->accept(id), "a token that the grammar's mask forbids");
  const bool ended = ends_answer(id), full = n_tokens_ == setting_.max_tokens;
  const bool matched = matcher_ && matcher_->finished();
  AnswerToken next;
  next.answer = index_;
  next.token = std::move(token);
  if (!ended) next.text = text_.push(id, n_tokens_ > request_.min_tokens);
  if (ended || full || matched) next.text += text_.finish();
  if (ended || matched || text_.stopped()) {
    end_ = make_end(FinishReason::kStop);
    if (ended) end_->stop_id = id;
    if (text_.stopped()) end_->stop = *text_.found_stop();
  } else if (full) {
    end_ = make_end(FinishReason::kLength);
  }
  return next;
}

AnswerEnd AnswerWriter::end_early(FinishReason reason) {
  AnswerEnd end = make_end(reason);
  end.text = text_.finish();
  return end;
}

}  // namespace mixtral
