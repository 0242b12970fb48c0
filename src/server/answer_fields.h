// The fields that chat and completions have in common: how tokens are chosen, when answers end, and
// how they are sent.
#pragma once

#include <vector>

#include "server/api_context.h"
#include "server/fields.h"

namespace mixtral {

inline constexpr size_t kMaxLogprobs = 20;

struct AnswerFields {
  Request request;  ///< all but the prompt, its log-probabilities and the leading space
  bool stream = false;
  bool include_usage = false;  ///< in an event of its own at the end of a stream
  bool wants_routing = false;
  std::vector<size_t> routing_layers;  ///< empty: all
};

struct AnswerDefaults {
  double temperature = 1.0;
  std::optional<size_t> max_tokens;  ///< none: to the end of the context
};

/// After read_model(). What is wrong is noted in `fields`.
AnswerFields read_answer_fields(Fields& fields, const ApiContext& context, const Call& call,
                                const AnswerDefaults& defaults);

/// Reads "model" into the call; without a name it is the model as it is.
void read_model(Fields& fields, const ApiContext& context, Call& call);

/// The status of `fields`; unknown ones are an error in strict mode.
ApiStatus finish_fields(const Fields& fields, const ApiContext& context);

/// Fails, with both numbers, unless the prompt leaves room for a token.
ApiStatus check_prompt_length(size_t n_prompt_tokens, const ApiContext& context);

}  // namespace mixtral
