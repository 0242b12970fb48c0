#ifndef MIXTRAL_WITHOUT_AVX512
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/half.h"
#include "cpu/kernels/activation_chunk.h"
#include "cpu/kernels/attention_scratch.h"
#include "cpu/kernels/intrinsics.h"
#include "cpu/kernels/tables.h"
#include "cpu/kernels/target_region.h"
#include "quant/blocks.h"
#include "quant/panel_layout.h"

MIXTRAL_TARGET_REGION_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
namespace mixtral::cpu {
namespace {

// Each builds on the ones before it.
// clang-format off
#include "cpu/kernels/simd_avx512_float.h"
#include "cpu/kernels/simd_avx512_int.h"
#include "cpu/kernels/simd_avx512_sums.h"
#include "cpu/kernels/codes-inl.h"
#include "cpu/kernels/matmul-inl.h"
#include "cpu/kernels/matmul_many-inl.h"
#include "cpu/kernels/operands_products-inl.h"
#include "cpu/kernels/widen-inl.h"
#include "cpu/kernels/matmul_float-inl.h"
#include "cpu/kernels/elementwise-inl.h"
#include "cpu/kernels/kv-inl.h"
#include "cpu/kernels/attention-inl.h"
#include "cpu/kernels/peak-inl.h"
#include "cpu/kernels/table-inl.h"
// clang-format on

constexpr KernelTable kTable = make_table(Isa::kAvx512);

}  // namespace

const KernelTable& avx512_table() { return kTable; }

}  // namespace mixtral::cpu
MIXTRAL_TARGET_REGION_END
#endif
