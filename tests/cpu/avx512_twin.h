// The AVX-512 kernels compiled against plain C++ twins of their instructions, so that every machine
// can test what they compute.
#pragma once

#include "cpu/kernels/kernel_table.h"

namespace mixtral::cpu {

/// Needs AVX2, since the kernels use narrower instructions too.
const KernelTable& avx512_twin_table();

}  // namespace mixtral::cpu
