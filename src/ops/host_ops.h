// What host backends share: choosing experts, and moving rows about.
#pragma once

#include <cstdint>
#include <span>

#include "core/tensor_view.h"
#include "ops/backend.h"

namespace mixtral {

/// The ids.size() largest logits, largest first, equal ones by lower id, and the softmax over them.
void top_k_softmax(std::span<const float> logits, std::span<int32_t> ids, std::span<float> probs);

void copy_rows(TensorView<const float> from, TensorView<float> to);
void copy_rows(TensorView<const int32_t> from, TensorView<int32_t> to);
void gather(TensorView<const float> x, std::span<const int32_t> rows, TensorView<float> y);
void fill_single_expert(const Routing& routing);

}  // namespace mixtral
