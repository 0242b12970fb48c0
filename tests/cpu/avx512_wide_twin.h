// The AVX-512 kernels with wide sums compiled against plain C++ twins of their instructions; all
// that is not theirs is the AVX-512 twin's.
#pragma once

#include "cpu/kernels/kernel_table.h"

namespace mixtral::cpu {

/// Needs AVX2, as avx512_twin_table() does.
const KernelTable& avx512_wide_twin_table();

}  // namespace mixtral::cpu
