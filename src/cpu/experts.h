// The mixture of experts on the CPU: tokens grouped by expert, one list of tasks. Private to cpu/.
#pragma once

#include "core/arena.h"
#include "cpu/cpu_context.h"
#include "ops/backend.h"

namespace mixtral::cpu {

/// Backend::experts().
void run_experts(const CpuContext& context, Arena& arena, TensorView<const float> x,
                 const ExpertWeights& weights, const Routing& routing, TensorView<float> residual);

/// What run_experts() takes from the arena.
size_t run_experts_bytes(const CpuContext& context, const StepLimits& limits);

}  // namespace mixtral::cpu
