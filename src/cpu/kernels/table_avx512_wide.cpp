#ifndef MIXTRAL_WITHOUT_AVX512
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/half.h"
#include "cpu/kernels/activation_chunk.h"
#include "cpu/kernels/intrinsics.h"
#include "cpu/kernels/tables.h"
#include "cpu/kernels/target_region.h"
#include "quant/blocks.h"
#include "quant/panel_layout.h"

MIXTRAL_TARGET_REGION_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
namespace mixtral::cpu {
namespace {

const KernelTable& avx512_kernels() { return avx512_table(); }

// Each builds on the ones before it.
// clang-format off
#include "cpu/kernels/simd_avx512_float.h"
#include "cpu/kernels/simd_avx512_int.h"
#include "cpu/kernels/simd_avx512_wide_sums.h"
#include "cpu/kernels/codes-inl.h"
#include "cpu/kernels/matmul-inl.h"
#include "cpu/kernels/matmul_many-inl.h"
#include "cpu/kernels/operands_products-inl.h"
#include "cpu/kernels/wide_sums-inl.h"
// clang-format on

}  // namespace

const KernelTable& avx512_wide_table() {
  static const KernelTable table = make_wide_table();
  return table;
}

}  // namespace mixtral::cpu
MIXTRAL_TARGET_REGION_END
#endif
