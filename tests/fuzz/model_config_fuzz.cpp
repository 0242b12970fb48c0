// config.json and params.json from anywhere: refused, or a config whose numbers can be computed
// with.
#include <cstddef>
#include <cstdint>

#include "io/json.h"
#include "model/checkpoint.h"
#include "model/read_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto json = mixtral::parse_json(text, "config.json");
  if (!json) return 0;
  std::vector<std::string> warnings;
  const auto hugging_face = mixtral::read_hugging_face_config("config.json", *json, warnings);
  const auto mistral = mixtral::read_mistral_config("params.json", *json);
  for (const auto* config : {&hugging_face, &mistral}) {
    if (!*config) continue;
    if ((*config)->n_active_parameters() > (*config)->n_parameters()) __builtin_trap();
    if (mixtral::all_weights(**config).empty()) __builtin_trap();
  }
  return 0;
}
