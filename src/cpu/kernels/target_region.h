// Code between the two macros is compiled for the given instruction-set extensions; the rest of the
// file, and every header included before the region, stays baseline x86-64. No compiler flag can do
// that: with -mavx512f the inline functions of headers could carry wide instructions into code that
// every processor runs.
#pragma once

#define MIXTRAL_PRAGMA(text) _Pragma(#text)

#ifdef __clang__
#define MIXTRAL_TARGET_REGION_BEGIN(extensions) \
  MIXTRAL_PRAGMA(clang attribute push(__attribute__((target(extensions))), apply_to = function))
#define MIXTRAL_TARGET_REGION_END MIXTRAL_PRAGMA(clang attribute pop)
#else
#define MIXTRAL_TARGET_REGION_BEGIN(extensions) \
  MIXTRAL_PRAGMA(GCC push_options) MIXTRAL_PRAGMA(GCC target(extensions))
#define MIXTRAL_TARGET_REGION_END MIXTRAL_PRAGMA(GCC pop_options)
#endif
