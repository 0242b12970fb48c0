// The CPU backend: panels of weights, kernels of the best instruction set, one pool of threads.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "core/cpu_features.h"
#include "core/result.h"
#include "ops/backend.h"

namespace mixtral {

struct CpuBackendOptions {
  size_t n_threads = 0;           ///< 0: one per CPU this process may use
  std::optional<Isa> isa;         ///< the best one of this machine if not given
  bool exact = false;             ///< f32 activations and cache, weights widened; slower
  KvType kv_type = KvType::kF16;  ///< of the cache, if not exact
};

/// Fails with kUnsupported if this machine cannot run the instruction set asked for.
Result<std::unique_ptr<Backend>> make_cpu_backend(const CpuBackendOptions& options);

}  // namespace mixtral
