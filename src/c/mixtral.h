/* The engine for C, and through it for other languages: load a model, submit requests from any
 * thread, take their events.
 *
 * Handles are opaque; each has a function that frees it, which takes NULL too. A function that can
 * fail returns a status and, unless `error` is NULL, stores an error that says why; the caller
 * frees it. Nothing else is left behind by a failure. No exception leaves these functions. Texts
 * are UTF-8. Functions and structures here only grow: what is there keeps its meaning. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* NOLINTBEGIN(readability-identifier-naming, modernize-use-using): C, with C's prefix for names */
#ifdef __cplusplus
extern "C" {
#endif

typedef struct mixtral_engine mixtral_engine;
typedef struct mixtral_request mixtral_request;
typedef struct mixtral_stream mixtral_stream;
typedef struct mixtral_error mixtral_error;

typedef enum mixtral_status {
  MIXTRAL_OK = 0,
  MIXTRAL_BAD_INPUT = 1,   /* a file or an argument contradicts its format or itself */
  MIXTRAL_UNSUPPORTED = 2, /* well formed, but of a kind that is not handled */
  MIXTRAL_NOT_FOUND = 3,   /* what must exist does not */
  MIXTRAL_IO = 4,          /* the system refused to read or write */
  MIXTRAL_TOO_LARGE = 5,   /* more memory or context than there is */
  MIXTRAL_DEVICE = 6,      /* a computation failed: a device, or a result that is no number */
  MIXTRAL_CANCELLED = 7,
  MIXTRAL_BUSY = 8 /* the queue is full: try again later */
} mixtral_status;

mixtral_status mixtral_error_status(const mixtral_error* error);
/* Valid as long as the error. */
const char* mixtral_error_message(const mixtral_error* error);
void mixtral_error_free(mixtral_error* error);

/* Who guesses the next tokens, for a step to check several at once. Answers are the same with and
 * without; guesses are made only while they pay. */
typedef enum mixtral_speculation {
  MIXTRAL_SPECULATION_NONE = 0,
  MIXTRAL_SPECULATION_NGRAM = 1, /* what the sequence itself says elsewhere */
  MIXTRAL_SPECULATION_DRAFT = 2  /* a smaller model */
} mixtral_speculation;

/* Zero stands for the default of each. What it points to is only read while the engine loads. */
typedef struct mixtral_engine_options {
  size_t context_len;          /* positions of one sequence; default: the model's own */
  size_t max_sequences;        /* answers in progress at once; default 64 */
  size_t max_waiting;          /* answers accepted beyond those; default 32 */
  size_t n_threads;            /* default: one for each CPU */
  uint64_t kv_bytes;           /* for keys and values; default: see engine/engine_options.h */
  uint64_t memory_limit_bytes; /* a model that needs more is refused; default: not checked */

  /* Low-rank adapters to load beside the model: what requests call them, each name once, and where
   * they are: folders of peft or mistral-finetune, or either's safetensors file. */
  size_t n_adapters;
  const char* const* adapter_names; /* [n_adapters] */
  const char* const* adapter_paths; /* [n_adapters] */
  const char* default_adapter;      /* of requests that name none; default: the model as it is */

  int32_t speculation;    /* a mixtral_speculation */
  const char* draft_path; /* for MIXTRAL_SPECULATION_DRAFT: a checkpoint with the same vocabulary */
} mixtral_engine_options;

/* Loads a checkpoint on the CPU. `options` may be NULL. `size` is sizeof(mixtral_engine_options) as
 * the caller knows it. Fails with MIXTRAL_NOT_FOUND if there is no such file or adapter, with
 * MIXTRAL_TOO_LARGE if the memory does not suffice, with MIXTRAL_BAD_INPUT if an option is wrong or
 * if an adapter or the draft model is of another model, and otherwise as the files' contents
 * demand. Thread-safe. */
mixtral_status mixtral_engine_load(const char* path, const mixtral_engine_options* options,
                                   size_t size, mixtral_engine** engine, mixtral_error** error);
/* Answers in progress end as cancelled; streams stay valid. */
void mixtral_engine_free(mixtral_engine* engine);
/* Positions of one sequence. Thread-safe. */
size_t mixtral_engine_context_len(const mixtral_engine* engine);

/* One moment's copy. Counters, which are all but the first two, only grow. */
typedef struct mixtral_stats {
  uint64_t n_waiting, n_running; /* requests in the queue; answers in progress */
  uint64_t n_steps;
  uint64_t n_prompt_tokens, n_cached_tokens; /* read; of these, known from before */
  uint64_t n_generated_tokens;
  uint64_t n_drafted_tokens, n_accepted_draft_tokens; /* guesses; those that came true */
} mixtral_stats;

/* `size` is sizeof(mixtral_stats) as the caller knows it. Fails only for want of memory.
 * Thread-safe. */
mixtral_status mixtral_engine_stats(const mixtral_engine* engine, mixtral_stats* stats,
                                    size_t size);

/* Writes the token ids of a text, with the token that begins texts if the model wants one, to
 * ids[0 .. capacity), and their number to *n_ids. If there are more than `capacity`, only the
 * number is right: call again with more room. Thread-safe. */
mixtral_status mixtral_engine_encode(const mixtral_engine* engine, const char* text, int32_t* ids,
                                     size_t capacity, size_t* n_ids, mixtral_error** error);

/* A request as engine/request.h has it, with that header's defaults; NULL without memory. Not
 * thread-safe. Setters copy what they are given and fail only for want of memory; wrong values are
 * found by mixtral_submit. */
mixtral_request* mixtral_request_new(void);
void mixtral_request_free(mixtral_request* request);
mixtral_status mixtral_request_set_prompt(mixtral_request* request, const int32_t* ids,
                                          size_t n_ids);
mixtral_status mixtral_request_add_stop(mixtral_request* request, const char* text);
mixtral_status mixtral_request_set_cache_salt(mixtral_request* request, const char* salt);
mixtral_status mixtral_request_set_client(mixtral_request* request, const char* client);
/* One of adapter_names, through which prompt and answers are computed; empty: default_adapter. */
mixtral_status mixtral_request_set_adapter(mixtral_request* request, const char* name);
/* Whether to guess if the engine does; at first it is wanted. */
void mixtral_request_set_speculate(mixtral_request* request, int wanted);
void mixtral_request_set_max_tokens(mixtral_request* request, size_t max_tokens);
void mixtral_request_set_min_tokens(mixtral_request* request, size_t min_tokens);
void mixtral_request_set_n_answers(mixtral_request* request, size_t n_answers);
void mixtral_request_set_priority(mixtral_request* request, int priority);
void mixtral_request_set_temperature(mixtral_request* request, float temperature);
void mixtral_request_set_top_k(mixtral_request* request, size_t top_k);
void mixtral_request_set_top_p(mixtral_request* request, float top_p);
void mixtral_request_set_min_p(mixtral_request* request, float min_p);
void mixtral_request_set_seed(mixtral_request* request, uint64_t seed);
/* Log-probabilities of the tokens of the answer. */
void mixtral_request_set_logprobs(mixtral_request* request, int wanted);

/* Puts a copy of the request into the queue and returns at once. Fails with MIXTRAL_BUSY if the
 * queue is full, with MIXTRAL_TOO_LARGE if the prompt leaves no room in the context, with
 * MIXTRAL_NOT_FOUND if there is no such adapter, and with MIXTRAL_BAD_INPUT if the request
 * contradicts itself or the model. Thread-safe. */
mixtral_status mixtral_submit(mixtral_engine* engine, const mixtral_request* request,
                              mixtral_stream** stream, mixtral_error** error);

typedef enum mixtral_event_kind {
  MIXTRAL_EVENT_PROMPT = 0, /* the prompt is read */
  MIXTRAL_EVENT_TOKEN = 1,  /* one more token of an answer */
  MIXTRAL_EVENT_END = 2     /* the end of an answer */
} mixtral_event_kind;

typedef enum mixtral_finish {
  MIXTRAL_FINISH_STOP = 0,
  MIXTRAL_FINISH_LENGTH = 1,
  MIXTRAL_FINISH_CANCELLED = 2,
  MIXTRAL_FINISH_DEADLINE = 3,
  MIXTRAL_FINISH_ERROR = 4
} mixtral_finish;

/* Texts are valid until the next call with this stream, and end with a zero that n_text_bytes does
 * not count. What does not belong to the kind is zero. */
typedef struct mixtral_event {
  mixtral_event_kind kind;
  size_t answer;    /* TOKEN, END: which one */
  const char* text; /* TOKEN, END: characters that became certain */
  size_t n_text_bytes;
  int32_t token_id;          /* TOKEN */
  double logprob;            /* TOKEN, if asked for */
  size_t n_prompt_tokens;    /* PROMPT */
  size_t n_cached_tokens;    /* PROMPT: of these, known from before */
  mixtral_finish finish;     /* END */
  const char* error_message; /* END with MIXTRAL_FINISH_ERROR, else NULL */
} mixtral_event;

/* Waits for the next event: 1, or 0 when none will come any more. One thread at a time for each
 * stream. `size` is sizeof(mixtral_event) as the caller knows it. */
int mixtral_stream_next(mixtral_stream* stream, mixtral_event* event, size_t size);
/* Ends the request within one step. Thread-safe. */
void mixtral_stream_cancel(mixtral_stream* stream);
/* Cancels what is not done. */
void mixtral_stream_free(mixtral_stream* stream);

#ifdef __cplusplus
}
#endif
/* NOLINTEND(readability-identifier-naming, modernize-use-using) */
