#include "baselines.h"

#include "cpu/kernels/intrinsics.h"

namespace mixtral::bench {

uint64_t read_bytes(const std::byte* bytes, size_t n) {
  __m128i sums[4] = {};
  for (size_t i = 0; i < n; i += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(bytes + i + 4096), _MM_HINT_T0);
    for (size_t k = 0; k < 4; ++k) {
      const auto* at = reinterpret_cast<const __m128i*>(bytes + i + 16 * k);
      sums[k] = _mm_add_epi64(sums[k], _mm_load_si128(at));
    }
  }
  const __m128i sum =
      _mm_add_epi64(_mm_add_epi64(sums[0], sums[1]), _mm_add_epi64(sums[2], sums[3]));
  return static_cast<uint64_t>(_mm_cvtsi128_si64(sum));
}

// Eight independent sums; the empty asm statements hide from the compiler that they are all the
// same.

[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]] int32_t vnni_peak() {
  __m512i s0 = {}, s1 = {}, s2 = {}, s3 = {}, s4 = {}, s5 = {}, s6 = {}, s7 = {};
  const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5);
  for (size_t step = 0; step < kPeakSteps; step += 8) {
    s0 = _mm512_dpbusd_epi32(s0, a, b);
    s1 = _mm512_dpbusd_epi32(s1, a, b);
    s2 = _mm512_dpbusd_epi32(s2, a, b);
    s3 = _mm512_dpbusd_epi32(s3, a, b);
    s4 = _mm512_dpbusd_epi32(s4, a, b);
    s5 = _mm512_dpbusd_epi32(s5, a, b);
    s6 = _mm512_dpbusd_epi32(s6, a, b);
    s7 = _mm512_dpbusd_epi32(s7, a, b);
    asm volatile(""
                 : "+v"(s0), "+v"(s1), "+v"(s2), "+v"(s3), "+v"(s4), "+v"(s5), "+v"(s6), "+v"(s7));
  }
  return _mm_cvtsi128_si32(_mm512_castsi512_si128(s0));
}

[[gnu::target("avx2")]] int32_t maddubs_peak() {
  __m256i s0 = {}, s1 = {}, s2 = {}, s3 = {}, s4 = {}, s5 = {}, s6 = {}, s7 = {};
  const __m256i a = _mm256_set1_epi8(3), ones = _mm256_set1_epi16(1);
  for (size_t step = 0; step < kPeakSteps; step += 8) {
    s0 = _mm256_add_epi32(s0, _mm256_madd_epi16(_mm256_maddubs_epi16(a, s0), ones));
    s1 = _mm256_add_epi32(s1, _mm256_madd_epi16(_mm256_maddubs_epi16(a, s1), ones));
    s2 = _mm256_add_epi32(s2, _mm256_madd_epi16(_mm256_maddubs_epi16(a, s2), ones));
    s3 = _mm256_add_epi32(s3, _mm256_madd_epi16(_mm256_maddubs_epi16(a, s3), ones));
    s4 = _mm256_add_epi32(s4, _mm256_madd_epi16(_mm256_maddubs_epi16(a, s4), ones));
    s5 = _mm256_add_epi32(s5, _mm256_madd_epi16(_mm256_maddubs_epi16(a, s5), ones));
    s6 = _mm256_add_epi32(s6, _mm256_madd_epi16(_mm256_maddubs_epi16(a, s6), ones));
    s7 = _mm256_add_epi32(s7, _mm256_madd_epi16(_mm256_maddubs_epi16(a, s7), ones));
    asm volatile(""
                 : "+x"(s0), "+x"(s1), "+x"(s2), "+x"(s3), "+x"(s4), "+x"(s5), "+x"(s6), "+x"(s7));
  }
  return _mm_cvtsi128_si32(_mm256_castsi256_si128(s0));
}

[[gnu::target("avx512f")]] float fma512_peak() {
  __m512 s0 = {}, s1 = {}, s2 = {}, s3 = {}, s4 = {}, s5 = {}, s6 = {}, s7 = {};
  const __m512 a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(0.25f);
  for (size_t step = 0; step < kPeakSteps; step += 8) {
    s0 = _mm512_fmadd_ps(a, b, s0);
    s1 = _mm512_fmadd_ps(a, b, s1);
    s2 = _mm512_fmadd_ps(a, b, s2);
    s3 = _mm512_fmadd_ps(a, b, s3);
    s4 = _mm512_fmadd_ps(a, b, s4);
    s5 = _mm512_fmadd_ps(a, b, s5);
    s6 = _mm512_fmadd_ps(a, b, s6);
    s7 = _mm512_fmadd_ps(a, b, s7);
    asm volatile(""
                 : "+v"(s0), "+v"(s1), "+v"(s2), "+v"(s3), "+v"(s4), "+v"(s5), "+v"(s6), "+v"(s7));
  }
  return _mm512_cvtss_f32(s0);
}

[[gnu::target("avx2,fma")]] float fma256_peak() {
  __m256 s0 = {}, s1 = {}, s2 = {}, s3 = {}, s4 = {}, s5 = {}, s6 = {}, s7 = {};
  const __m256 a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(0.25f);
  for (size_t step = 0; step < kPeakSteps; step += 8) {
    s0 = _mm256_fmadd_ps(a, b, s0);
    s1 = _mm256_fmadd_ps(a, b, s1);
    s2 = _mm256_fmadd_ps(a, b, s2);
    s3 = _mm256_fmadd_ps(a, b, s3);
    s4 = _mm256_fmadd_ps(a, b, s4);
    s5 = _mm256_fmadd_ps(a, b, s5);
    s6 = _mm256_fmadd_ps(a, b, s6);
    s7 = _mm256_fmadd_ps(a, b, s7);
    asm volatile(""
                 : "+x"(s0), "+x"(s1), "+x"(s2), "+x"(s3), "+x"(s4), "+x"(s5), "+x"(s6), "+x"(s7));
  }
  return _mm256_cvtss_f32(s0);
}

}  // namespace mixtral::bench
