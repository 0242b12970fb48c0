#include "quant/type.h"

#include <algorithm>
#include <array>

#include "core/check.h"
#include "quant/blocks.h"

namespace mixtral {
namespace {

template <class Block>
constexpr TypeInfo block_type(Type type, std::string_view name) {
  return {type, name, Block::kWeights, sizeof(Block)};
}

constexpr std::array kTypes = {
    TypeInfo{Type::kF32, "F32", 1, 4},
    TypeInfo{Type::kF16, "F16", 1, 2},
    block_type<BlockQ4_0>(Type::kQ4_0, "Q4_0"),
    block_type<BlockQ4_1>(Type::kQ4_1, "Q4_1"),
    block_type<BlockQ5_0>(Type::kQ5_0, "Q5_0"),
    block_type<BlockQ5_1>(Type::kQ5_1, "Q5_1"),
    block_type<BlockQ8_0>(Type::kQ8_0, "Q8_0"),
    block_type<BlockQ2_K>(Type::kQ2_K, "Q2_K"),
    block_type<BlockQ3_K>(Type::kQ3_K, "Q3_K"),
    block_type<BlockQ4_K>(Type::kQ4_K, "Q4_K"),
    block_type<BlockQ5_K>(Type::kQ5_K, "Q5_K"),
    block_type<BlockQ6_K>(Type::kQ6_K, "Q6_K"),
    block_type<BlockIQ4_NL>(Type::kIQ4_NL, "IQ4_NL"),
    block_type<BlockIQ4_XS>(Type::kIQ4_XS, "IQ4_XS"),
    TypeInfo{Type::kBF16, "BF16", 1, 2},
};

// Every id that GGUF files have used, by position; 4, 5, 31 to 33 and 36 to 38 were withdrawn.
constexpr std::array<std::string_view, 42> kGgufNames = {
    "F32",   "F16",        "Q4_0",       "Q4_1",       "Q4_2",     "Q4_3",     "Q5_0",
    "Q5_1",  "Q8_0",       "Q8_1",       "Q2_K",       "Q3_K",     "Q4_K",     "Q5_K",
    "Q6_K",  "Q8_K",       "IQ2_XXS",    "IQ2_XS",     "IQ3_XXS",  "IQ1_S",    "IQ4_NL",
    "IQ3_S", "IQ2_S",      "IQ4_XS",     "I8",         "I16",      "I32",      "I64",
    "F64",   "IQ1_M",      "BF16",       "Q4_0_4_4",   "Q4_0_4_8", "Q4_0_8_8", "TQ1_0",
    "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4",    "NVFP4",    "Q1_0",
};

constexpr char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, upper, upper);
}

}  // namespace

std::span<const TypeInfo> all_types() { return kTypes; }

const TypeInfo& type_info(Type type) {
  const auto* found = std::ranges::find(kTypes, type, &TypeInfo::type);
  MIXTRAL_CHECK(found != kTypes.end(), "a Type outside the enumeration");
  return *found;
}

std::string_view type_name(Type type) { return type_info(type).name; }

std::optional<Type> type_from_id(uint32_t gguf_id) {
  const auto* found = std::ranges::find(kTypes, static_cast<Type>(gguf_id), &TypeInfo::type);
  return found != kTypes.end() ? std::optional(found->type) : std::nullopt;
}

std::optional<Type> type_from_name(std::string_view name) {
  for (const TypeInfo& info : kTypes) {
    if (same_name(info.name, name)) return info.type;
  }
  return std::nullopt;
}

std::string_view gguf_type_name(uint32_t gguf_id) {
  return gguf_id < kGgufNames.size() ? kGgufNames[gguf_id] : std::string_view{};
}

bool is_quantised(Type type) { return type_info(type).block_size > 1; }

size_t row_bytes(Type type, size_t cols) {
  const TypeInfo& info = type_info(type);
  MIXTRAL_CHECK(cols % info.block_size == 0, "a row is a whole number of blocks");
  return cols / info.block_size * info.block_bytes;
}

}  // namespace mixtral
