// Any bytes as JSON: refused, or its text form reads as the same document again.
#include <cstddef>
#include <cstdint>

#include "io/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto document = mixtral::parse_json(text, "input");
  if (!document) return 0;
  const auto again = mixtral::parse_json(document->dump(), "dump");
  if (!again || *again != *document) __builtin_trap();
  return 0;
}
