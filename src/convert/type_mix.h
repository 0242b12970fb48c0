// Which type each weight of a quantised model has: the mixes that llama.cpp's llama-quantize makes,
// so that a "Q4_K_M" of ours is one for everybody (github.com/ggml-org/llama.cpp,
// src/llama-quant.cpp).
#pragma once

#include <string_view>
#include <vector>

#include "core/result.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "quant/type.h"

namespace mixtral {

struct TypeMix;  // one row of the table in type_mix.cpp

/// Of a name as "Q4_K_M", "Q8_0" or "BF16", upper or lower case. The plain names of types that come
/// in several mixes ("Q3_K", "Q4_K", "Q5_K") mean that very type for every matrix. Fails with
/// kBadInput, listing the names.
Result<const TypeMix*> type_mix_from_name(std::string_view name);
std::string_view type_mix_name(const TypeMix& mix);
/// The type that most of the weights have.
Type base_type(const TypeMix& mix);
std::vector<std::string_view> type_mix_names();

/// The type of a weight with rows of `cols` in a model of this config. Vectors and routers are F32.
Type type_in_mix(const TypeMix& mix, const ModelConfig& config, WeightId id, size_t cols);

}  // namespace mixtral
