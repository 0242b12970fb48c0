#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/half.h"
#include "cpu/kernels/activation_chunk.h"
#include "cpu/kernels/attention_scratch.h"
#include "cpu/kernels/tables.h"
#include "quant/blocks.h"
#include "quant/panel_layout.h"

namespace mixtral::cpu {
namespace {

// Each builds on the ones before it.
// clang-format off
#include "cpu/kernels/simd_scalar_float.h"
#include "cpu/kernels/simd_scalar_int.h"
#include "cpu/kernels/codes-inl.h"
#include "cpu/kernels/matmul-inl.h"
#include "cpu/kernels/matmul_many-inl.h"
#include "cpu/kernels/widen-inl.h"
#include "cpu/kernels/matmul_float-inl.h"
#include "cpu/kernels/elementwise-inl.h"
#include "cpu/kernels/kv-inl.h"
#include "cpu/kernels/attention-inl.h"
#include "cpu/kernels/peak-inl.h"
template <class Q>
using OperandsOf = CodeOperands<Q>;
#include "cpu/kernels/table-inl.h"
// clang-format on

constexpr KernelTable kTable = make_table(Isa::kScalar);

}  // namespace

const KernelTable& scalar_table() { return kTable; }

}  // namespace mixtral::cpu
