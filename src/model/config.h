// The numbers that define a model of this family, whatever checkpoint they come from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/result.h"
#include "ops/backend.h"

namespace mixtral {

/// Mixtral, Mistral and Llama differ only in these. A dense model is one expert and no router.
struct ModelConfig {
  size_t dim = 0;  ///< D, width of the residual stream
  size_t n_layers = 0;
  size_t n_heads = 0;
  size_t n_kv_heads = 0;           ///< divides n_heads
  size_t head_dim = 0;             ///< even
  size_t hidden_dim = 0;           ///< H, width inside one expert
  size_t n_experts = 1;            ///< E; 1: dense, no router
  size_t n_experts_per_token = 1;  ///< K <= E
  size_t vocab_size = 0;
  size_t context_len = 0;     ///< positions the model was trained for
  size_t sliding_window = 0;  ///< 0: none
  double rope_theta = 10000.0;
  float norm_eps = 1e-5f;
  bool tied_embeddings = false;  ///< the head is the embedding table

  bool has_router() const { return n_experts > 1; }
  AttentionShape attention() const { return {n_heads, n_kv_heads, head_dim, sliding_window}; }

  /// All parameters, and those that one token's forward pass multiplies or looks up (both embedding
  /// matrices counted, as the paper does).
  uint64_t n_parameters() const;
  uint64_t n_active_parameters() const;
};

/// Checks that the numbers are in range and agree with each other; `where` begins the message.
Status validate(const ModelConfig& config, std::string_view where);

}  // namespace mixtral
