// The tile kernels compiled against plain C++ twins of their instructions; all that is not theirs
// is the AVX-512 twin's.
#pragma once

#include "cpu/kernels/kernel_table.h"

namespace mixtral::cpu {

/// Needs AVX2, as avx512_twin_table() does.
const KernelTable& amx_twin_table();
/// True if no tile register of this thread is configured, as kernels must leave them.
bool twin_tiles_are_released();

}  // namespace mixtral::cpu
