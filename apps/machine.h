// What this machine has to offer a model.
#pragma once

#include <cstdint>

namespace mixtral {

/// Memory that can be taken without pushing anything out: the kernel's own estimate, less where a
/// cgroup allows less. 0 if unknown.
uint64_t available_memory_bytes();

}  // namespace mixtral
