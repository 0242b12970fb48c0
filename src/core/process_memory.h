// Memory of this process.
#pragma once

#include <cstdint>

namespace mixtral {

/// What the process holds in memory, mapped files included; 0 if unknown.
uint64_t resident_bytes();

}  // namespace mixtral
