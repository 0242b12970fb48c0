/* Continues a text with a model, in C, and with a low-rank adapter if one is given:
 *   ./complete_in_c MODEL "Once upon a time" [ADAPTER] */
#include <stdio.h>

#include "c/mixtral.h"

enum { kMaxIds = 4096 };

static int report(mixtral_error* error) {
  fprintf(stderr, "%s\n", mixtral_error_message(error));
  mixtral_error_free(error);
  return 1;
}

/* Guesses what repeats itself; the answer stays the same. */
static int load(const char* path, const char* adapter, mixtral_engine** engine) {
  const char* name = "default";
  mixtral_engine_options options = {0};
  options.speculation = MIXTRAL_SPECULATION_NGRAM;
  if (adapter != NULL) {
    options.n_adapters = 1;
    options.adapter_names = &name;
    options.adapter_paths = &adapter;
    options.default_adapter = name;
  }
  mixtral_error* error = NULL;
  if (mixtral_engine_load(path, &options, sizeof(options), engine, &error)) return report(error);
  return 0;
}

static int print_answer(mixtral_stream* stream) {
  mixtral_event event;
  int failed = 0;
  while (mixtral_stream_next(stream, &event, sizeof(event))) {
    if (event.kind == MIXTRAL_EVENT_PROMPT) continue;
    fwrite(event.text, 1, event.n_text_bytes, stdout);
    fflush(stdout);
    if (event.error_message != NULL) {
      fprintf(stderr, "%s\n", event.error_message);
      failed = 1;
    }
  }
  printf("\n");
  return failed;
}

static int complete(mixtral_engine* engine, const char* text) {
  static int32_t ids[kMaxIds];
  size_t n_ids = 0;
  mixtral_error* error = NULL;
  if (mixtral_engine_encode(engine, text, ids, kMaxIds, &n_ids, &error)) {
    return report(error);
  }
  if (n_ids > kMaxIds) {
    fprintf(stderr, "the text has %zu tokens, expected at most %d\n", n_ids, kMaxIds);
    return 1;
  }
  mixtral_request* request = mixtral_request_new();
  if (request == NULL) return 1;
  mixtral_request_set_prompt(request, ids, n_ids);
  mixtral_request_set_max_tokens(request, 50);
  mixtral_stream* stream = NULL;
  mixtral_submit(engine, request, &stream, &error);
  mixtral_request_free(request);
  if (error != NULL) return report(error);
  const int failed = print_answer(stream);
  mixtral_stream_free(stream);
  return failed;
}

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    fprintf(stderr, "usage: complete_in_c MODEL TEXT [ADAPTER]\n");
    return 2;
  }
  mixtral_engine* engine = NULL;
  if (load(argv[1], argc == 4 ? argv[3] : NULL, &engine)) return 1;
  const int failed = complete(engine, argv[2]);
  mixtral_engine_free(engine);
  return failed;
}
