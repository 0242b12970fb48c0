// tokenizer.model from anywhere: refused, or a tokenizer that takes any text and any ids.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "text/tokenizer_formats.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto tokenizer = mixtral::tokenizer_from_sentencepiece(bytes, "tokenizer.model");
  if (!tokenizer) return 0;
  // The file's own bytes are the text most likely to hold its pieces.
  for (const auto special : {mixtral::SpecialText::kAsText, mixtral::SpecialText::kParse}) {
    std::vector<int32_t> ids = (*tokenizer)->encode(bytes.substr(0, 4096), special);
    ids.insert(ids.end(), {-1, 0, 1 << 30});
    (void)(*tokenizer)->decode(ids);
  }
  return 0;
}
