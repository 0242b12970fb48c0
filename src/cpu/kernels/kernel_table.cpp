#include "cpu/kernels/kernel_table.h"

#include "core/check.h"
#include "cpu/kernels/attention_scratch.h"
#include "cpu/kernels/tables.h"
#include "quant/panel_layout.h"

namespace mixtral::cpu {

ActivationFormat activation_format(Type type) {
  if (!is_quantised(type)) return ActivationFormat::kF32;
  return panel_layout(type).block_cols == 32 ? ActivationFormat::kQ8x32 : ActivationFormat::kQ8x256;
}

size_t attention_scratch_floats(size_t group, size_t head_dim) {
  return AttentionScratch(group, head_dim).floats;
}

// What is under way at a time is at most bytes_ahead at each place, and where memory answers late,
// or few panels are read together, it limits the speed. AMD (Zen 4): L1 at any distance gives three
// quarters of what L2 gives, 5 to 9 KiB more than 2.5, and one panel a tenth to a third more than
// four where memory is quick. Intel (Granite Rapids): 2.5 KiB, L1 and four panels were best with
// AVX-512.
Streaming best_streaming(Isa isa) {
  if (cpu_is_amd()) return {.bytes_ahead = 6144, .into_l1 = false, .several_panels = false};
  return {.bytes_ahead = 2560, .into_l1 = isa >= Isa::kAvx512, .several_panels = true};
}

// A product of 32 bits is one instruction on AMD's processors, as it is not on Intel's.
const KernelTable& kernel_table(Isa isa) { return kernel_table(isa, cpu_is_amd()); }

const KernelTable& kernel_table(Isa isa, [[maybe_unused]] bool wide_sums) {
  MIXTRAL_CHECK(isa_supported(isa), "this machine lacks the instruction set");
  switch (isa) {
    case Isa::kScalar: break;
    case Isa::kAvx2: return avx2_table();
#ifdef MIXTRAL_WITHOUT_AVX512
    case Isa::kAvx512:
    case Isa::kAmx: break;
#else
    case Isa::kAvx512: return wide_sums ? avx512_wide_table() : avx512_table();
    case Isa::kAmx: return amx_table();
#endif
  }
  return scalar_table();
}

}  // namespace mixtral::cpu
