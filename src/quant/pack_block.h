// One block from floats, behind pack(): the search and the encoding of each format.
#pragma once

#include "quant/blocks.h"

namespace mixtral::internal {

// Writes Block::kWeights weights `x`, their squared errors weighed by `w`. Every w is positive; the
// magnitudes of both are moderate, see pack.cpp.
void pack_block(const float* x, const float* w, BlockQ4_0& block);
void pack_block(const float* x, const float* w, BlockQ4_1& block);
void pack_block(const float* x, const float* w, BlockQ5_0& block);
void pack_block(const float* x, const float* w, BlockQ5_1& block);
void pack_block(const float* x, const float* w, BlockQ8_0& block);
void pack_block(const float* x, const float* w, BlockQ2_K& block);
void pack_block(const float* x, const float* w, BlockQ3_K& block);
void pack_block(const float* x, const float* w, BlockQ4_K& block);
void pack_block(const float* x, const float* w, BlockQ5_K& block);
void pack_block(const float* x, const float* w, BlockQ6_K& block);
void pack_block(const float* x, const float* w, BlockIQ4_NL& block);
void pack_block(const float* x, const float* w, BlockIQ4_XS& block);

}  // namespace mixtral::internal
