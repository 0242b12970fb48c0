#include "c/mixtral.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "cpu/cpu_backend.h"
#include "engine/engine.h"

// NOLINTBEGIN(readability-identifier-naming): what C calls them
struct mixtral_engine {
  std::unique_ptr<mixtral::Engine> engine;
};
struct mixtral_request {
  mixtral::Request request;
};
struct mixtral_stream {
  mixtral::Stream stream;
  std::string text, error_message;  // of the last event
};
struct mixtral_error {
  mixtral_status status;
  std::string message;
};
// NOLINTEND(readability-identifier-naming)

namespace mixtral {
namespace {

mixtral_status status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadInput: return MIXTRAL_BAD_INPUT;
    case ErrorCode::kUnsupported: return MIXTRAL_UNSUPPORTED;
    case ErrorCode::kNotFound: return MIXTRAL_NOT_FOUND;
    case ErrorCode::kIo: return MIXTRAL_IO;
    case ErrorCode::kTooLarge: return MIXTRAL_TOO_LARGE;
    case ErrorCode::kDevice: return MIXTRAL_DEVICE;
    case ErrorCode::kCancelled: return MIXTRAL_CANCELLED;
    case ErrorCode::kBusy: return MIXTRAL_BUSY;
  }
  MIXTRAL_CHECK(false, "unknown error code");
}

mixtral_status report(const Error& failure, mixtral_error** error) {
  const mixtral_status status = status_of(failure.code);
  if (error != nullptr) *error = new mixtral_error{status, failure.message};
  return status;
}

// Runs `body`, which returns a Status. What the standard library throws for want of memory ends
// here.
template <class Body>
mixtral_status guarded(mixtral_error** error, Body body) {
  if (error != nullptr) *error = nullptr;
  try {
    const Status status = body();
    return status ? MIXTRAL_OK : report(status.error(), error);
  } catch (const std::exception& exception) {
    if (error != nullptr)
      *error = new (std::nothrow) mixtral_error{MIXTRAL_TOO_LARGE, "out of memory"};
    return MIXTRAL_TOO_LARGE;
  }
}

// Gives a caller as much of `from` as it has room for, and zeros for what it knows beyond that.
template <class Struct>
void copy_out(const Struct& from, Struct* to, size_t size) {
  std::memset(to, 0, size);
  std::memcpy(to, &from, std::min(size, sizeof(from)));
}

const char* or_empty(const char* text) { return text == nullptr ? "" : text; }

Result<std::string> element(const char* const* texts, size_t index, const char* field) {
  if (texts != nullptr && texts[index] != nullptr) return std::string(texts[index]);
  return fail(ErrorCode::kBadInput, "{}[{}] is NULL, expected a text for each of n_adapters", field,
              index);
}

Result<Speculation> speculation(const mixtral_engine_options& from) {
  switch (from.speculation) {
    case MIXTRAL_SPECULATION_NONE: return Speculation::kNone;
    case MIXTRAL_SPECULATION_NGRAM: return Speculation::kNgram;
    case MIXTRAL_SPECULATION_DRAFT: break;
    default:
      return fail(ErrorCode::kBadInput, "speculation is {}, expected a mixtral_speculation",
                  from.speculation);
  }
  if (from.draft_path != nullptr) return Speculation::kDraft;
  return fail(ErrorCode::kBadInput, "draft_path is NULL, expected the smaller model's checkpoint");
}

Result<EngineOptions> engine_options(const mixtral_engine_options& from) {
  EngineOptions options;
  options.context_len = from.context_len;
  if (from.max_sequences != 0) options.max_sequences = from.max_sequences;
  if (from.max_waiting != 0) options.max_waiting = from.max_waiting;
  options.kv_bytes = from.kv_bytes;
  options.memory_limit_bytes = from.memory_limit_bytes;
  for (size_t i = 0; i < from.n_adapters; ++i) {
    MIXTRAL_TRY(std::string name, element(from.adapter_names, i, "adapter_names"));
    MIXTRAL_TRY(std::string path, element(from.adapter_paths, i, "adapter_paths"));
    options.adapters.push_back({std::move(name), std::move(path)});
  }
  options.default_adapter = or_empty(from.default_adapter);
  MIXTRAL_TRY(options.speculation, speculation(from));
  options.draft_path = or_empty(from.draft_path);
  return options;
}

void fill(PromptRead from, mixtral_stream&, mixtral_event& event) {
  event.kind = MIXTRAL_EVENT_PROMPT;
  event.n_prompt_tokens = from.n_tokens;
  event.n_cached_tokens = from.n_cached;
}

void fill(AnswerToken from, mixtral_stream& stream, mixtral_event& event) {
  event.kind = MIXTRAL_EVENT_TOKEN;
  event.answer = from.answer;
  event.token_id = from.token.id;
  event.logprob = from.token.logprob;
  stream.text = std::move(from.text);
}

void fill(AnswerEnd from, mixtral_stream& stream, mixtral_event& event) {
  event.kind = MIXTRAL_EVENT_END;
  event.answer = from.answer;
  event.finish = static_cast<mixtral_finish>(from.reason);
  stream.text = std::move(from.text);
  if (!from.error) return;
  stream.error_message = std::move(from.error->message);
  event.error_message = stream.error_message.c_str();
}

}  // namespace
}  // namespace mixtral

using mixtral::ErrorCode;
using mixtral::fail;
using mixtral::Status;

mixtral_status mixtral_error_status(const mixtral_error* error) { return error->status; }
const char* mixtral_error_message(const mixtral_error* error) { return error->message.c_str(); }
void mixtral_error_free(mixtral_error* error) { delete error; }

mixtral_status mixtral_engine_load(const char* path, const mixtral_engine_options* options,
                                   size_t size, mixtral_engine** engine, mixtral_error** error) {
  return mixtral::guarded(error, [&]() -> Status {
    mixtral_engine_options known = {};
    if (options != nullptr) std::memcpy(&known, options, std::min(size, sizeof(known)));
    MIXTRAL_TRY(const mixtral::EngineOptions engine_options, mixtral::engine_options(known));
    mixtral::CpuBackendOptions cpu;
    cpu.n_threads = known.n_threads;
    MIXTRAL_TRY(auto backend, mixtral::make_cpu_backend(cpu));
    MIXTRAL_TRY(auto loaded, mixtral::Engine::load(path, std::move(backend), engine_options));
    *engine = new mixtral_engine{std::move(loaded)};
    return {};
  });
}

void mixtral_engine_free(mixtral_engine* engine) { delete engine; }

size_t mixtral_engine_context_len(const mixtral_engine* engine) {
  return engine->engine->context_len();
}

mixtral_status mixtral_engine_stats(const mixtral_engine* engine, mixtral_stats* stats,
                                    size_t size) {
  return mixtral::guarded(nullptr, [&]() -> Status {
    const mixtral::EngineStats from = engine->engine->stats();
    mixtral_stats known = {};
    known.n_waiting = from.waiting;
    known.n_running = from.running;
    known.n_steps = from.steps;
    known.n_prompt_tokens = from.prompt_tokens;
    known.n_cached_tokens = from.cached_tokens;
    known.n_generated_tokens = from.generated_tokens;
    known.n_drafted_tokens = from.drafted_tokens;
    known.n_accepted_draft_tokens = from.accepted_draft_tokens;
    mixtral::copy_out(known, stats, size);
    return {};
  });
}

mixtral_status mixtral_engine_encode(const mixtral_engine* engine, const char* text, int32_t* ids,
                                     size_t capacity, size_t* n_ids, mixtral_error** error) {
  return mixtral::guarded(error, [&]() -> Status {
    const mixtral::Tokenizer* tokenizer = engine->engine->tokenizer();
    if (tokenizer == nullptr) {
      return fail(ErrorCode::kNotFound, "{}: the checkpoint has no tokenizer",
                  engine->engine->checkpoint().path());
    }
    std::vector<int32_t> all = tokenizer->encode(text);
    if (tokenizer->adds_bos()) all.insert(all.begin(), *tokenizer->bos_id());
    *n_ids = all.size();
    std::copy_n(all.begin(), std::min(capacity, all.size()), ids);
    return {};
  });
}

mixtral_request* mixtral_request_new(void) { return new (std::nothrow) mixtral_request; }
void mixtral_request_free(mixtral_request* request) { delete request; }

mixtral_status mixtral_request_set_prompt(mixtral_request* request, const int32_t* ids,
                                          size_t n_ids) {
  return mixtral::guarded(nullptr, [&]() -> Status {
    request->request.prompt_ids.assign(ids, ids + n_ids);
    return {};
  });
}

mixtral_status mixtral_request_add_stop(mixtral_request* request, const char* text) {
  return mixtral::guarded(nullptr, [&]() -> Status {
    request->request.stop.emplace_back(text);
    return {};
  });
}

mixtral_status mixtral_request_set_cache_salt(mixtral_request* request, const char* salt) {
  return mixtral::guarded(nullptr, [&]() -> Status {
    request->request.cache_salt = salt;
    return {};
  });
}

mixtral_status mixtral_request_set_client(mixtral_request* request, const char* client) {
  return mixtral::guarded(nullptr, [&]() -> Status {
    request->request.client = client;
    return {};
  });
}

mixtral_status mixtral_request_set_adapter(mixtral_request* request, const char* name) {
  return mixtral::guarded(nullptr, [&]() -> Status {
    request->request.adapter = name;
    return {};
  });
}

void mixtral_request_set_speculate(mixtral_request* request, int wanted) {
  request->request.speculate = wanted != 0;
}
void mixtral_request_set_max_tokens(mixtral_request* request, size_t max_tokens) {
  request->request.max_tokens = max_tokens;
}
void mixtral_request_set_min_tokens(mixtral_request* request, size_t min_tokens) {
  request->request.min_tokens = min_tokens;
}
void mixtral_request_set_n_answers(mixtral_request* request, size_t n_answers) {
  request->request.n_answers = n_answers;
}
void mixtral_request_set_priority(mixtral_request* request, int priority) {
  request->request.priority = priority;
}
void mixtral_request_set_temperature(mixtral_request* request, float temperature) {
  request->request.sampling.temperature = temperature;
}
void mixtral_request_set_top_k(mixtral_request* request, size_t top_k) {
  request->request.sampling.top_k = top_k;
}
void mixtral_request_set_top_p(mixtral_request* request, float top_p) {
  request->request.sampling.top_p = top_p;
}
void mixtral_request_set_min_p(mixtral_request* request, float min_p) {
  request->request.sampling.min_p = min_p;
}
void mixtral_request_set_seed(mixtral_request* request, uint64_t seed) {
  request->request.sampling.seed = seed;
}
void mixtral_request_set_logprobs(mixtral_request* request, int wanted) {
  auto& n_logprobs = request->request.sampling.n_logprobs;
  n_logprobs = wanted != 0 ? std::optional<size_t>(0) : std::nullopt;
}

mixtral_status mixtral_submit(mixtral_engine* engine, const mixtral_request* request,
                              mixtral_stream** stream, mixtral_error** error) {
  return mixtral::guarded(error, [&]() -> Status {
    MIXTRAL_TRY(mixtral::Stream submitted, engine->engine->submit(request->request));
    *stream = new mixtral_stream{std::move(submitted), {}, {}};
    return {};
  });
}

int mixtral_stream_next(mixtral_stream* stream, mixtral_event* event, size_t size) {
  auto next = stream->stream.next();
  if (!next) return 0;
  stream->text.clear();
  mixtral_event known = {};
  std::visit([&](auto& from) { mixtral::fill(std::move(from), *stream, known); }, *next);
  known.text = stream->text.c_str();
  known.n_text_bytes = stream->text.size();
  mixtral::copy_out(known, event, size);
  return 1;
}

void mixtral_stream_cancel(mixtral_stream* stream) { stream->stream.cancel(); }
void mixtral_stream_free(mixtral_stream* stream) { delete stream; }
