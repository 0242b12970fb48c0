#include "server/answer_fields.h"

#include <charconv>
#include <utility>

#include "server/random_id.h"
#include "server/response_grammar.h"

namespace mixtral {
namespace {

constexpr size_t kMaxStops = 64;
constexpr size_t kMaxStopBytes = 256;
constexpr size_t kMaxStopIds = 64;
constexpr float kForced = 1000.0f;  // the sampler's largest bias, for a client's largest

void read_seed(Fields& fields, SamplingOptions& sampling) {
  const auto seed = fields.integer("seed", INT64_MIN, INT64_MAX);
  const auto random_seed_field = fields.integer("random_seed", INT64_MIN, INT64_MAX);
  if (seed && random_seed_field && *seed != *random_seed_field)
    fields.refuse("random_seed", "seed and random_seed differ: they mean the same");
  const auto given = seed ? seed : random_seed_field;
  sampling.seed = given && *given != -1 ? static_cast<uint64_t>(*given) : random_seed();
}

// [-100, 100] as clients know it; the ends mean never and always.
std::optional<float> bias_of(const Json& value) {
  if (!value.is_number()) return std::nullopt;
  const auto bias = value.get<double>();
  if (bias < -100 || bias > 100) return std::nullopt;
  if (bias == -100) return -kForced;
  return bias == 100 ? kForced : static_cast<float>(bias);
}

void read_logit_bias(Fields& fields, const ApiContext& context, SamplingOptions& sampling) {
  const Json* biases = fields.object("logit_bias");
  if (biases == nullptr) return;
  for (const auto& [key, value] : biases->items()) {
    int32_t id = -1;
    const auto parsed = std::from_chars(key.data(), key.data() + key.size(), id);
    const bool whole = parsed.ec == std::errc() && parsed.ptr == key.data() + key.size();
    if (!whole || id < 0 || static_cast<size_t>(id) >= context.model.vocab_size) {
      return fields.refuse("logit_bias", "logit_bias: \"{}\" is no token id from 0 to {}",
                           key.substr(0, 32), context.model.vocab_size - 1);
    }
    const auto bias = bias_of(value);
    if (!bias) {
      return fields.refuse("logit_bias", "logit_bias of {}: expected a number from -100 to 100",
                           key);
    }
    sampling.logit_bias.emplace_back(id, *bias);
  }
}

void read_sampling(Fields& fields, const ApiContext& context, double temperature,
                   SamplingOptions& sampling) {
  const auto set = [](float& target, std::optional<double> value) {
    if (value) target = static_cast<float>(*value);
  };
  sampling.temperature = static_cast<float>(temperature);
  set(sampling.temperature, fields.number("temperature", 0, 2));
  if (const auto top_k = fields.integer("top_k", -1, INT32_MAX))
    sampling.top_k = *top_k < 0 ? 0 : static_cast<size_t>(*top_k);
  if (const auto top_p = fields.number("top_p", 0, 1)) {
    // Nothing but the most probable token is the limit of ever smaller values.
    if (*top_p == 0) sampling.top_k = 1;
    sampling.top_p = *top_p == 0 ? 1.0f : static_cast<float>(*top_p);
  }
  if (const auto min_p = fields.number("min_p", 0, 1))
    *min_p < 1 ? void(sampling.min_p = static_cast<float>(*min_p)) : void(sampling.top_k = 1);
  set(sampling.frequency_penalty, fields.number("frequency_penalty", -2, 2));
  set(sampling.presence_penalty, fields.number("presence_penalty", -2, 2));
  for (const char* name : {"repetition_penalty", "repeat_penalty"})
    set(sampling.repetition_penalty, fields.number(name, 0.01, 100));
  read_seed(fields, sampling);
  read_logit_bias(fields, context, sampling);
}

void read_stops(Fields& fields, const ApiContext& context, Request& request) {
  const auto add = [&](const Json& stop) {
    if (!stop.is_string()) {
      return fields.refuse("stop", "stop is {}, expected a string or strings", kind_of(stop));
    }
    const auto& text = stop.get_ref<const std::string&>();
    if (text.empty() || text.size() > kMaxStopBytes) {
      return fields.refuse("stop", "stop: a text of {} bytes, expected 1 to {}", text.size(),
                           kMaxStopBytes);
    }
    request.stop.push_back(text);
  };
  if (const Json* stop = fields.find("stop"); stop != nullptr && stop->is_array()) {
    if (stop->size() > kMaxStops) {
      return fields.refuse("stop", "stop: {} texts, at most {}", stop->size(), kMaxStops);
    }
    for (const Json& one : *stop) add(one);
  } else if (stop != nullptr) {
    add(*stop);
  }
  const Json* ids = fields.array("stop_token_ids");
  if (ids == nullptr) return;
  if (ids->size() > kMaxStopIds)
    return fields.refuse("stop_token_ids", "stop_token_ids: at most {}", kMaxStopIds);
  for (const Json& value : *ids) {
    const auto id = whole_number(value);
    if (!id || *id < 0 || static_cast<size_t>(*id) >= context.model.vocab_size) {
      return fields.refuse("stop_token_ids", "stop_token_ids: expected ids from 0 to {}",
                           context.model.vocab_size - 1);
    }
    request.stop_ids.push_back(static_cast<int32_t>(*id));
  }
}

void read_lengths(Fields& fields, const ApiContext& context, const AnswerDefaults& defaults,
                  Request& request) {
  const auto max_tokens = fields.integer("max_tokens", 0, INT64_MAX);
  const auto max_completion_tokens = fields.integer("max_completion_tokens", 1, INT64_MAX);
  if (context.options.strict && max_tokens && max_completion_tokens &&
      *max_tokens != *max_completion_tokens) {
    fields.refuse("max_completion_tokens", "max_completion_tokens differs from max_tokens");
  }
  if (max_completion_tokens) {
    request.max_tokens = static_cast<size_t>(*max_completion_tokens);
  } else if (max_tokens) {
    request.max_tokens = static_cast<size_t>(*max_tokens);
    request.prompt_only = *max_tokens == 0;
  } else {
    request.max_tokens = defaults.max_tokens.value_or(0);
  }
  // An answer ends with the context anyway.
  request.max_tokens = std::min(request.max_tokens, context.model.context_len);
  const auto limit = static_cast<int64_t>(context.model.context_len);
  request.min_tokens = static_cast<size_t>(fields.integer("min_tokens", 0, limit).value_or(0));
  const auto max_answers = static_cast<int64_t>(context.options.max_answers);
  request.n_answers = static_cast<size_t>(fields.integer("n", 1, max_answers).value_or(1));
  request.ignore_end = fields.boolean("ignore_eos", false);
}

// "routing": true, or {"layers": [0, 31]}
void read_routing(Fields& fields, const ApiContext& context, AnswerFields& answer) {
  const Json* routing = fields.find("routing");
  if (routing == nullptr) return;
  if (routing->is_boolean()) {
    answer.wants_routing = routing->get<bool>();
  } else if (routing->is_object()) {
    answer.wants_routing = true;
    Fields inner(*routing, "routing");
    const Json* layers = inner.array("layers");
    for (size_t i = 0; layers != nullptr && i < layers->size(); ++i) {
      const auto layer = whole_number((*layers)[i]);
      if (!layer || *layer < 0 || static_cast<size_t>(*layer) >= context.model.n_layers) {
        return fields.refuse("routing", "routing.layers: expected layers from 0 to {}",
                             context.model.n_layers - 1);
      }
      answer.routing_layers.push_back(static_cast<size_t>(*layer));
    }
    if (!inner.good()) fields.refuse(inner.status().error());
  } else {
    fields.refuse("routing", "routing is {}, expected true, false or {{\"layers\": […]}}",
                  kind_of(*routing));
  }
  if (answer.wants_routing && context.model.n_experts < 2)
    fields.refuse("routing", "routing: this model is dense and routes nothing");
  answer.request.routing = answer.wants_routing;
}

void read_stream(Fields& fields, AnswerFields& answer) {
  answer.stream = fields.boolean("stream", false);
  const Json* options = fields.object("stream_options");
  if (options == nullptr) return;
  if (!answer.stream)
    return fields.refuse("stream_options", "stream_options: only together with \"stream\": true");
  Fields inner(*options, "stream_options");
  answer.include_usage = inner.boolean("include_usage", false);
  if (inner.boolean("continuous_usage_stats", false))
    inner.refuse("continuous_usage_stats", "continuous_usage_stats is not supported");
  if (!inner.good()) fields.refuse(inner.status().error());
}

// Clients of vLLM say how many alternatives; Mistral's say true, and the number in a second field.
void read_prompt_logprobs(Fields& fields, AnswerFields& answer) {
  const auto top = fields.integer("top_prompt_logprobs", 0, kMaxLogprobs);
  const Json* wanted = fields.find("prompt_logprobs");
  const bool is_flag = wanted != nullptr && wanted->is_boolean();
  if (top && !(is_flag && *wanted == true)) {
    return fields.refuse("top_prompt_logprobs",
                         "top_prompt_logprobs: only together with \"prompt_logprobs\": true");
  }
  if (wanted == nullptr || *wanted == false) return;
  if (answer.stream)
    return fields.refuse("prompt_logprobs", "prompt_logprobs: not together with \"stream\": true");
  const auto n = is_flag ? top : fields.integer("prompt_logprobs", 0, kMaxLogprobs);
  answer.request.n_prompt_logprobs = static_cast<size_t>(n.value_or(0));
}

// Known to clients, without an effect on what is answered here.
void ignore_harmless(Fields& fields) {
  fields.ignore({"user", "metadata", "store", "service_tier", "prompt_cache_key",
                 "prompt_cache_retention", "safety_identifier", "verbosity", "prediction",
                 "cache_prompt", "id_slot", "timings_per_token", "return_progress"});
}

// Fields that would change the answer, if they were supported.
void refuse_unsupported(Fields& fields) {
  for (const char* name : {"audio", "web_search_options", "guardrails", "moderation",
                           "chat_template", "chat_template_kwargs"}) {
    const Json* value = fields.find(name);
    if (value == nullptr || *value == false || *value == Json::array()) continue;
    fields.refuse(name, "{} is not supported", name);
  }
  if (fields.boolean("include_stop_str_in_output", false))
    fields.refuse("include_stop_str_in_output", "include_stop_str_in_output is not supported");
  if (!fields.boolean("skip_special_tokens", true))
    fields.refuse("skip_special_tokens", "skip_special_tokens: control tokens are never shown");
  const Json* effort = fields.find("reasoning_effort");
  if (effort != nullptr && *effort != "none")
    fields.refuse("reasoning_effort", "reasoning_effort: this model has none, expected \"none\"");
  if (fields.find("prompt_mode") != nullptr)
    fields.refuse("prompt_mode", "prompt_mode is not supported");
  const Json* modalities = fields.find("modalities");
  if (modalities != nullptr && *modalities != Json::array({"text"}))
    fields.refuse("modalities", "modalities: expected [\"text\"]");
}

}  // namespace

AnswerFields read_answer_fields(Fields& fields, const ApiContext& context, const Call& call,
                                const AnswerDefaults& defaults) {
  AnswerFields answer;
  Request& request = answer.request;
  read_sampling(fields, context, defaults.temperature, request.sampling);
  read_lengths(fields, context, defaults, request);
  read_stops(fields, context, request);
  read_stream(fields, answer);
  read_prompt_logprobs(fields, answer);
  read_routing(fields, context, answer);
  read_response_grammar(fields, request);
  request.priority = static_cast<int>(fields.integer("priority", -1000, 1000).value_or(0));
  request.adapter = call.model.adapter;
  // Whoever has another key, or another salt, can learn nothing from how fast a prompt is read.
  request.cache_salt = call.tenant + "\n" + fields.text("cache_salt").value_or("");
  request.client = call.client();
  ignore_harmless(fields);
  refuse_unsupported(fields);
  return answer;
}

void read_model(Fields& fields, const ApiContext& context, Call& call) {
  call.model = context.model.itself();
  const auto name = fields.text("model");
  if (!name || name->empty()) return;
  if (auto found = context.model.find(*name)) {
    call.model = *std::move(found);
  } else if (!context.options.accept_any_model) {
    fields.refuse(unknown_model(name->substr(0, 200)));
  }
}

ApiStatus finish_fields(const Fields& fields, const ApiContext& context) {
  MIXTRAL_TRY(fields.status());
  if (!context.options.strict) return {};
  const auto unknown = fields.unknown();
  if (unknown.empty()) return {};
  return tl::unexpected(bad_request(unknown[0], "{} is no field of this request", unknown[0]));
}

ApiStatus check_prompt_length(size_t n_prompt_tokens, const ApiContext& context) {
  if (n_prompt_tokens < context.model.context_len) return {};
  return tl::unexpected(prompt_too_long(n_prompt_tokens, context.model.context_len));
}

}  // namespace mixtral
