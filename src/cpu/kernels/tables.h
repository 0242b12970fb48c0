// The tables that table_*.cpp make, each compiled for its instruction set, and their choice.
#pragma once

#include "cpu/kernels/kernel_table.h"

namespace mixtral::cpu {

const KernelTable& scalar_table();
const KernelTable& avx2_table();
const KernelTable& avx512_table();
/// As avx512_table() bit by bit, faster where products of 32 bits cost what others cost.
const KernelTable& avx512_wide_table();
const KernelTable& amx_table();

/// As kernel_table(isa), which knows which of the AVX-512 tables is best here: tests want both.
const KernelTable& kernel_table(Isa isa, bool wide_sums);

}  // namespace mixtral::cpu
