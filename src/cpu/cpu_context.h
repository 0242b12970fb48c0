// What the pieces of the CPU backend share. Private to cpu/.
#pragma once

#include <cstddef>

#include "core/thread_pool.h"
#include "cpu/kernels/kernel_table.h"
#include "ops/input_observer.h"

namespace mixtral::cpu {

struct CpuContext {
  const KernelTable& kernels;
  ThreadPool& pool;
  bool exact;  ///< f32 activations for every type
  InputObserver* observer = nullptr;

  ActivationFormat format(Type type) const {
    return exact ? ActivationFormat::kF32 : activation_format(type);
  }
};

/// Work below this many multiplications runs on the calling thread: waking the others costs more.
inline constexpr size_t kSerialWork = 1 << 15;

}  // namespace mixtral::cpu
