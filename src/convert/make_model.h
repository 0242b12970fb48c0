// Models of true shape and random weights: for measuring speed without a download, and for tests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "convert/model_source.h"
#include "convert/type_mix.h"
#include "core/result.h"
#include "model/config.h"

namespace mixtral {

/// "mixtral-8x7b", "mixtral-8x22b", "llama-2-7b", "llama-2-13b", "llama-2-70b", "mistral-7b".
std::vector<std::string_view> model_shape_names();
/// The published dimensions of such a model; nullopt for another name.
std::optional<ModelConfig> model_shape(std::string_view name);

struct RandomModelOptions {
  std::string name;  ///< general.name
  ModelConfig config;
  const TypeMix* mix = nullptr;
  uint64_t seed = 0;
  double skew = 0;  ///< see RandomRouter
};

/// Normal weights scaled so that activations neither grow nor vanish, routers of zero mean so that
/// all experts are used alike (without skew), and a synthetic vocabulary. The same numbers give the
/// same bytes. Blocks are drawn from pools quantised beforehand, so writing runs at the speed of
/// the disk. Fails with kBadInput if the config contradicts itself or its vocabulary cannot be
/// made.
Result<ModelSource> make_random_model(const RandomModelOptions& options);

}  // namespace mixtral
