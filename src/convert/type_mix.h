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
/// The number that says "Q4_K_M" in a file's general.file_type.
uint64_t gguf_file_type(const TypeMix& mix);
std::vector<std::string_view> type_mix_names();

/// The type that a weight is to have, whatever the length of its rows. Vectors and routers are F32.
/// Some mixes spend their bits otherwise when they know which columns matter (`weighted`).
Type wanted_type(const TypeMix& mix, const ModelConfig& config, WeightId id, bool weighted);
/// `type`, or the nearest one whose blocks divide rows of `cols`.
Type fitting_type(Type type, Role role, size_t cols);
/// Both: the type of a weight with rows of `cols` where the importance of columns is not known.
Type type_in_mix(const TypeMix& mix, const ModelConfig& config, WeightId id, size_t cols);

}  // namespace mixtral
