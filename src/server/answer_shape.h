// How the endpoints write answers: whole or in events, with their token counts.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/answer_fields.h"
#include "server/job.h"
#include "server/shown_tokens.h"

namespace mixtral {

/// What stands at the top of every answer and event.
struct AnswerHead {
  std::string id, object, model, fingerprint;
  int64_t created = 0;

  /// {"id", "object", "created", "model", "system_fingerprint"}
  Json json() const;
};
AnswerHead make_answer_head(const ApiContext& context, const Call& call, std::string_view id_prefix,
                            std::string_view object);

struct Usage {
  size_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
  Json json() const;
};

/// One piece of one choice: all of it, or what became certain since the last.
struct AnswerPart {
  size_t choice = 0;
  std::string text;
  std::vector<ShownToken> tokens;  ///< whose text that is; only if log-probabilities are asked for
  const AnswerEnd* end = nullptr;  ///< with the last part
};

/// The difference between the endpoints. One object serves one request.
class AnswerShape {
 public:
  virtual ~AnswerShape() = default;
  /// What a choice begins with, before any token: an assistant's prefix, an echoed prompt.
  virtual std::string opening_text(size_t choice) const = 0;
  /// A prompt is read; with its log-probabilities, if they are asked for.
  virtual void on_prompt(size_t prompt, const PromptRead& read) = 0;
  /// The first event of a choice; null if there is none of its own.
  virtual Json opening_chunk(size_t choice) const = 0;
  /// A choice in events: none if there is nothing to tell yet, at least one of a part without text
  /// and of one with an end.
  virtual std::vector<Json> chunks(const AnswerPart& part) = 0;
  /// A choice in a whole answer.
  virtual Json whole(const AnswerPart& part) = 0;
  /// Members that whole answers have beside their choices.
  virtual void add_members(Json&) {}
};

/// "stop", "length"
std::string_view finish_reason_of(const AnswerEnd& end);
/// The stop string or stop token that ended it; null if it was the model's own end or a limit.
Json stop_reason(const AnswerEnd& end);

struct AnswerPlan {
  AnswerFields fields;
  AnswerHead head;           ///< of whole answers
  std::string chunk_object;  ///< "object" of events
  bool wants_logprobs = false;
  /// So many of each prompt's answers are shown, those whose tokens are most probable on average;
  /// 0: all. Takes log-probabilities, and no stream.
  size_t n_shown = 0;
  bool strip_leading_space = false;
};

/// The sink of chat, completions and fill-in-the-middle.
std::unique_ptr<AnswerSink> make_answer_sink(ApiContext& context,
                                             std::shared_ptr<Exchange> exchange, AnswerPlan plan,
                                             size_t n_prompts, std::unique_ptr<AnswerShape> shape);

}  // namespace mixtral
