// The tables that table_*.cpp make, each compiled for its instruction set.
#pragma once

#include "cpu/kernels/kernel_table.h"

namespace mixtral::cpu {

const KernelTable& scalar_table();
const KernelTable& avx2_table();
const KernelTable& avx512_table();
const KernelTable& amx_table();

}  // namespace mixtral::cpu
