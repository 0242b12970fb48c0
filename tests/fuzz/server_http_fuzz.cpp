// Any bytes as an HTTP request, in pieces: refused, or a request within the limits, and the same
// whatever the pieces.
#include <cstddef>
#include <cstdint>
#include <string>

#include "server/http_parser.h"

namespace {

struct Outcome {
  unsigned status = 0;
  bool done = false;
  std::string body;
};

Outcome parse(std::string_view text, size_t step) {
  const mixtral::HttpLimits limits = {1024, 2048};
  mixtral::HttpParser parser(limits);
  std::string unread;
  for (size_t at = 0; at < text.size() && !parser.done() && !parser.error(); at += step) {
    unread += text.substr(at, step);
    const size_t n = parser.feed(unread);
    if (n > unread.size()) __builtin_trap();
    unread.erase(0, n);
  }
  Outcome outcome;
  outcome.done = parser.done() && !parser.error();
  if (parser.error()) outcome.status = parser.error()->status;
  if (!outcome.done) return outcome;
  outcome.body = parser.take().body;
  if (outcome.body.size() > limits.body_bytes) __builtin_trap();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Outcome whole = parse(text, text.size() + 1), bytes = parse(text, 1);
  if (whole.done != bytes.done || whole.body != bytes.body) __builtin_trap();
  return 0;
}
