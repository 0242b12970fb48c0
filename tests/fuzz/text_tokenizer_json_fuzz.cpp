// tokenizer.json from anywhere: refused, or a tokenizer that takes any text and any ids.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "text/tokenizer_formats.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto tokenizer = mixtral::tokenizer_from_json(text, "tokenizer.json");
  if (!tokenizer) return 0;
  for (const auto special : {mixtral::SpecialText::kAsText, mixtral::SpecialText::kParse}) {
    std::vector<int32_t> ids = (*tokenizer)->encode(text.substr(0, 4096), special);
    ids.insert(ids.end(), {-1, 0, 1 << 30});
    (void)(*tokenizer)->decode(ids);
  }
  return 0;
}
