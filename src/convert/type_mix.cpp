#include "convert/type_mix.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <optional>

namespace mixtral {
namespace {

using enum Type;

/// Layers that get a better type than the rest.
enum class Layers { kNone, kFirstTwo, kFirstFour, kFirstSixteenth, kFirstEighth, kSpread, kAll };

struct Better {
  Layers layers = Layers::kNone;
  Type type = kF32;
};

constexpr size_t kExpertsOfMixtral = 8;  // at which llama-quantize spends more on attention

bool includes(Layers layers, size_t layer, size_t n_layers) {
  switch (layers) {
    case Layers::kNone: return false;
    case Layers::kFirstTwo: return layer < 2;
    case Layers::kFirstFour: return layer < 4;
    case Layers::kFirstSixteenth: return layer < n_layers / 16;
    case Layers::kFirstEighth: return layer < n_layers / 8;
    case Layers::kSpread:  // both ends and every third layer between
      return layer < n_layers / 8 || layer >= 7 * n_layers / 8 || (layer - n_layers / 8) % 3 == 2;
    case Layers::kAll: return true;
  }
  return false;
}

}  // namespace

struct TypeMix {
  std::string_view name;
  uint64_t file_type;        ///< by which llama.cpp tells files apart (llama_ftype)
  Type base;                 ///< of what nothing below names
  std::optional<Type> head;  ///< the output matrix, or the embeddings where it is tied
  Better wv, w_down;
  std::optional<Better> weighted_w_down;  ///< instead of w_down where importance is known
  Type wv_rest, w_down_rest, wo;
  std::optional<Type> shared_wv;   ///< where four or more heads share keys and values
  std::optional<Type> mixtral_wo;  ///< with eight experts
  bool better_mixtral_kv = false;  ///< with eight experts, wk and wv are Q8_0
};

namespace {

constexpr TypeMix pure(std::string_view name, uint64_t file_type, Type type) {
  TypeMix mix{};
  mix.name = name;
  mix.file_type = file_type;
  mix.base = mix.wv_rest = mix.w_down_rest = mix.wo = type;
  return mix;
}

constexpr TypeMix simple(std::string_view name, uint64_t file_type, Type type) {
  TypeMix mix = pure(name, file_type, type);
  mix.head = type == kQ8_0 ? kQ8_0 : kQ6_K;
  mix.better_mixtral_kv = true;
  return mix;
}

constexpr TypeMix spread(TypeMix mix, Better wv, Better w_down) {
  mix.wv = wv;
  mix.w_down = w_down;
  return mix;
}

constexpr TypeMix with_weighted(TypeMix mix, Better w_down) {
  mix.weighted_w_down = w_down;
  return mix;
}

constexpr TypeMix with_rest(TypeMix mix, Type wv, Type w_down, Type wo) {
  mix.wv_rest = wv;
  mix.w_down_rest = w_down;
  mix.wo = wo;
  return mix;
}

constexpr TypeMix with_shared_wv(TypeMix mix, Type type) {
  mix.shared_wv = type;
  return mix;
}

constexpr TypeMix with_mixtral_wo(TypeMix mix) {
  mix.mixtral_wo = kQ5_K;
  return mix;
}

constexpr Better kSpreadQ6_K = {Layers::kSpread, kQ6_K};

constexpr TypeMix kMixes[] = {
    pure("F32", 0, kF32),
    pure("F16", 1, kF16),
    pure("BF16", 32, kBF16),
    pure("Q3_K", 11, kQ3_K),
    pure("Q4_K", 14, kQ4_K),
    pure("Q5_K", 16, kQ5_K),
    simple("Q8_0", 7, kQ8_0),
    with_weighted(simple("Q4_0", 2, kQ4_0), {Layers::kFirstEighth, kQ4_1}),
    simple("Q4_1", 3, kQ4_1),
    with_weighted(simple("Q5_0", 8, kQ5_0), {Layers::kFirstEighth, kQ5_1}),
    simple("Q5_1", 9, kQ5_1),
    simple("Q6_K", 18, kQ6_K),
    simple("Q5_K_S", 16, kQ5_K),
    spread(simple("Q5_K_M", 17, kQ5_K), kSpreadQ6_K, kSpreadQ6_K),
    with_mixtral_wo(spread(simple("Q4_K_S", 14, kQ4_K), {Layers::kFirstFour, kQ5_K},
                           {Layers::kFirstEighth, kQ5_K})),
    with_mixtral_wo(spread(simple("Q4_K_M", 15, kQ4_K), kSpreadQ6_K, kSpreadQ6_K)),
    with_mixtral_wo(simple("Q3_K_S", 11, kQ3_K)),
    with_mixtral_wo(with_rest(spread(simple("Q3_K_M", 12, kQ3_K), {Layers::kFirstTwo, kQ5_K},
                                     {Layers::kFirstSixteenth, kQ5_K}),
                              kQ4_K, kQ4_K, kQ4_K)),
    with_rest(simple("Q3_K_L", 13, kQ3_K), kQ5_K, kQ5_K, kQ5_K),
    with_mixtral_wo(
        with_shared_wv(with_rest(simple("Q2_K", 10, kQ2_K), kQ3_K, kQ3_K, kQ3_K), kQ4_K)),
    with_mixtral_wo(with_shared_wv(
        with_weighted(spread(simple("IQ4_NL", 25, kIQ4_NL), {}, {Layers::kFirstEighth, kQ5_K}), {}),
        kQ5_K)),
    with_mixtral_wo(with_shared_wv(
        with_weighted(spread(simple("IQ4_XS", 30, kIQ4_XS), {}, {Layers::kFirstEighth, kQ5_K}), {}),
        kQ5_K)),
};

Type wv_type(const TypeMix& mix, const ModelConfig& config, size_t layer) {
  const size_t n_sharing = config.n_heads / config.n_kv_heads;
  Type type = includes(mix.wv.layers, layer, config.n_layers) ? mix.wv.type : mix.wv_rest;
  if (n_sharing >= 4) type = mix.shared_wv.value_or(type);
  // Llama 2 70B, whose eight heads share one wv.
  const bool is_70b = n_sharing == 8 && config.dim == 8192;
  if (is_70b && mix.head && (type == kQ3_K || type == kQ4_K)) return kQ5_K;
  return type;
}

}  // namespace

Type wanted_type(const TypeMix& mix, const ModelConfig& config, WeightId id, bool weighted) {
  const bool like_mixtral = config.n_experts == kExpertsOfMixtral;
  switch (id.role) {
    case Role::kOutputNorm:
    case Role::kAttentionNorm:
    case Role::kFfnNorm:
    case Role::kRouter: return kF32;
    case Role::kOutput: return mix.head.value_or(mix.base);
    case Role::kTokenEmbedding:
      return config.tied_embeddings ? mix.head.value_or(mix.base) : mix.base;
    case Role::kWq:
    case Role::kWGate:
    case Role::kWUp: return mix.base;
    case Role::kWk: return like_mixtral && mix.better_mixtral_kv ? kQ8_0 : mix.base;
    case Role::kWv:
      return like_mixtral && mix.better_mixtral_kv ? kQ8_0 : wv_type(mix, config, id.layer);
    case Role::kWo: return like_mixtral ? mix.mixtral_wo.value_or(mix.base) : mix.wo;
    case Role::kWDown: {
      const Better& better = weighted ? mix.weighted_w_down.value_or(mix.w_down) : mix.w_down;
      return includes(better.layers, id.layer, config.n_layers) ? better.type : mix.w_down_rest;
    }
  }
  return mix.base;
}

Type fitting_type(Type type, Role role, size_t cols) {
  if (cols % type_info(type).block_size == 0) return type;
  if (role == Role::kOutput && cols % type_info(kQ8_0).block_size == 0) return kQ8_0;
  const Type smaller = [type] {
    switch (type) {
      case kQ2_K:
      case kQ3_K: return kQ4_0;
      case kQ4_K: return kQ5_0;
      case kQ5_K: return kQ5_1;
      case kQ6_K: return kQ8_0;
      default: return kIQ4_NL;  // IQ4_XS, the last type of 256
    }
  }();
  return cols % type_info(smaller).block_size == 0 ? smaller : kF16;
}

namespace {

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::toupper(x) == std::toupper(y);
  });
}

}  // namespace

Result<const TypeMix*> type_mix_from_name(std::string_view name) {
  for (const TypeMix& mix : kMixes)
    if (same_name(mix.name, name)) return &mix;
  return fail(ErrorCode::kBadInput, "type '{}' is unknown, expected one of {}", name,
              fmt::join(type_mix_names(), ", "));
}

std::string_view type_mix_name(const TypeMix& mix) { return mix.name; }

Type base_type(const TypeMix& mix) { return mix.base; }
uint64_t gguf_file_type(const TypeMix& mix) { return mix.file_type; }

std::vector<std::string_view> type_mix_names() {
  std::vector<std::string_view> names;
  std::transform(std::begin(kMixes), std::end(kMixes), std::back_inserter(names),
                 [](const TypeMix& mix) { return mix.name; });
  return names;
}

Type type_in_mix(const TypeMix& mix, const ModelConfig& config, WeightId id, size_t cols) {
  return fitting_type(wanted_type(mix, config, id, false), id.role, cols);
}

}  // namespace mixtral
