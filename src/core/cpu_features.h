// Which instruction sets this machine has, asked once at run time.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mixtral {

/// The variants of our kernels, each a superset of the one before.
enum class Isa {
  kScalar,  ///< plain C++
  kAvx2,    ///< AVX2, FMA, F16C
  kAvx512,  ///< AVX-512 F, BW, DQ, VL, VNNI
  kAmx,     ///< kAvx512 and AMX tiles of int8
};

std::string_view isa_name(Isa isa);
/// The Isa of a name as isa_name gives it ("scalar", "avx2", "avx512", "amx").
std::optional<Isa> isa_from_name(std::string_view name);

/// True if the processor and the operating system let `isa` run.
bool isa_supported(Isa isa);
/// The last Isa of the enumeration that runs here.
Isa best_isa();

/// True if the processor is one of AMD's.
bool cpu_is_amd();
/// The processor's own name, for reports; "unknown" where it has none.
std::string cpu_model_name();

}  // namespace mixtral
