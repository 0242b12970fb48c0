// A loaded engine as the server sees a model.
#pragma once

#include <string>
#include <vector>

#include "core/result.h"
#include "engine/engine.h"
#include "server/served_model.h"

namespace mixtral {

struct ServedNames {
  std::string id;                    ///< empty: from the model's path
  std::vector<std::string> aliases;  ///< besides those that Mistral's and other clients ask for
  std::string chat_template;         ///< empty: what the checkpoint says
};

/// `engine` must outlive the result. Fails if it has no tokenizer, the chat template is none, or an
/// adapter has a name that the model answers to.
Result<ServedModel> served_model(Engine& engine, const ServedNames& names);

}  // namespace mixtral
