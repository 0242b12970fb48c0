#include "model/config.h"

#include <cmath>

namespace mixtral {
namespace {

uint64_t attention_parameters(const ModelConfig& c) {
  const uint64_t q = uint64_t{c.n_heads} * c.head_dim, kv = uint64_t{c.n_kv_heads} * c.head_dim;
  return (2 * q + 2 * kv) * c.dim;
}

// Everything but the experts.
uint64_t shared_parameters(const ModelConfig& c) {
  const uint64_t router = c.has_router() ? uint64_t{c.n_experts} * c.dim : 0;
  const uint64_t layer = attention_parameters(c) + router + 2 * uint64_t{c.dim};
  const uint64_t embeddings = (c.tied_embeddings ? 1 : 2) * uint64_t{c.vocab_size} * c.dim;
  return embeddings + c.n_layers * layer + c.dim;
}

uint64_t expert_parameters(const ModelConfig& c) { return 3 * uint64_t{c.dim} * c.hidden_dim; }

Status check_range(std::string_view where, std::string_view field, size_t value, size_t smallest,
                   size_t largest) {
  if (value >= smallest && value <= largest) return {};
  return fail(ErrorCode::kBadInput, "{}: {} is {}, expected {} to {}", where, field, value,
              smallest, largest);
}

}  // namespace

uint64_t ModelConfig::n_parameters() const {
  return shared_parameters(*this) + n_layers * n_experts * expert_parameters(*this);
}

uint64_t ModelConfig::n_active_parameters() const {
  return shared_parameters(*this) + n_layers * n_experts_per_token * expert_parameters(*this);
}

// The upper bounds lie far above any model; they keep hostile numbers from overflowing later
// products.
Status validate(const ModelConfig& c, std::string_view where) {
  MIXTRAL_TRY(check_range(where, "dim", c.dim, 1, 1 << 17));
  MIXTRAL_TRY(check_range(where, "number of layers", c.n_layers, 1, 1024));
  MIXTRAL_TRY(check_range(where, "number of heads", c.n_heads, 1, 4096));
  MIXTRAL_TRY(check_range(where, "number of key-value heads", c.n_kv_heads, 1, c.n_heads));
  MIXTRAL_TRY(check_range(where, "head dimension", c.head_dim, 2, 4096));
  MIXTRAL_TRY(check_range(where, "hidden dimension", c.hidden_dim, 1, 1 << 20));
  MIXTRAL_TRY(check_range(where, "number of experts", c.n_experts, 1, 1024));
  MIXTRAL_TRY(check_range(where, "experts per token", c.n_experts_per_token, 1, c.n_experts));
  MIXTRAL_TRY(check_range(where, "vocabulary size", c.vocab_size, 1, 1 << 24));
  MIXTRAL_TRY(check_range(where, "context length", c.context_len, 1, size_t{1} << 30));
  MIXTRAL_TRY(check_range(where, "sliding window", c.sliding_window, 0, size_t{1} << 30));
  if (c.n_heads % c.n_kv_heads != 0) {
    return fail(ErrorCode::kBadInput, "{}: {} heads cannot share {} key-value heads evenly", where,
                c.n_heads, c.n_kv_heads);
  }
  if (c.head_dim % 2 != 0) {
    return fail(ErrorCode::kBadInput, "{}: head dimension is {}, expected an even number", where,
                c.head_dim);
  }
  if (!std::isfinite(c.rope_theta) || c.rope_theta < 1.0) {
    return fail(ErrorCode::kBadInput, "{}: rope theta is {}, expected a number from 1", where,
                c.rope_theta);
  }
  if (!std::isfinite(c.norm_eps) || c.norm_eps < 0.0f || c.norm_eps > 1.0f) {
    return fail(ErrorCode::kBadInput, "{}: norm epsilon is {}, expected 0 to 1", where, c.norm_eps);
  }
  return {};
}

}  // namespace mixtral
