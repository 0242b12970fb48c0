#include "core/cpu_features.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace mixtral {
namespace {

struct NamedIsa {
  Isa isa;
  std::string_view name;
};
constexpr std::array kIsas = {NamedIsa{Isa::kScalar, "scalar"}, NamedIsa{Isa::kAvx2, "avx2"},
                              NamedIsa{Isa::kAvx512, "avx512"}, NamedIsa{Isa::kAmx, "amx"}};

bool has_avx2() {
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 &&
         [] {  // __builtin_cpu_supports has no name for F16C: leaf 1, ECX bit 29
           unsigned a = 0, b = 0, c = 0, d = 0;
           return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c >> 29 & 1) != 0;
         }();
}

bool has_avx512() {
#ifdef MIXTRAL_WITHOUT_AVX512  // a build without these kernels
  return false;
#endif
  return has_avx2() && __builtin_cpu_supports("avx512f") != 0 &&
         __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
}

// Tiles exist (leaf 7, EDX: 24 AMX-TILE, 25 AMX-INT8) and Linux grants this process their state.
bool has_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!has_avx512() || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  constexpr unsigned kNeeded = 1u << 24 | 1u << 25;
  if ((d & kNeeded) != kNeeded) return false;
  constexpr long kRequestPermission = 0x1023,
                 kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
}

}  // namespace

std::string_view isa_name(Isa isa) { return kIsas[static_cast<size_t>(isa)].name; }

std::optional<Isa> isa_from_name(std::string_view name) {
  for (const NamedIsa& entry : kIsas) {
    if (entry.name == name) return entry.isa;
  }
  return std::nullopt;
}

bool isa_supported(Isa isa) {
  switch (isa) {
    case Isa::kScalar: return true;
    case Isa::kAvx2: return has_avx2();
    case Isa::kAvx512: return has_avx512();
    case Isa::kAmx: return has_amx();
  }
  return false;
}

Isa best_isa() {
  for (auto entry = kIsas.rbegin(); entry != kIsas.rend(); ++entry) {
    if (isa_supported(entry->isa)) return entry->isa;
  }
  return Isa::kScalar;
}

bool cpu_is_amd() { return __builtin_cpu_is("amd") != 0; }

std::string cpu_model_name() {
  std::array<unsigned, 4> registers{};
  std::string name;
  if (static_cast<unsigned>(__get_cpuid_max(0x80000000u, nullptr)) < 0x80000004u) return "unknown";
  for (unsigned leaf = 0x80000002u; leaf <= 0x80000004u; ++leaf) {
    __get_cpuid(leaf, &registers[0], &registers[1], &registers[2], &registers[3]);
    char text[sizeof(registers)];
    std::memcpy(text, registers.data(), sizeof(text));
    name.append(text, strnlen(text, sizeof(text)));
  }
  const size_t first = name.find_first_not_of(' ');
  const size_t last = name.find_last_not_of(' ');
  return first == std::string::npos ? "unknown" : name.substr(first, last - first + 1);
}

}  // namespace mixtral
