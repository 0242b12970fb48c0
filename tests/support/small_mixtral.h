// The shape of the random models of tests: small, but with rows of whole blocks in every type.
#pragma once

#include "model/config.h"

namespace mixtral::testing {

inline ModelConfig small_mixtral() {
  return {.dim = 256,
          .n_layers = 2,
          .n_heads = 8,
          .n_kv_heads = 2,
          .head_dim = 32,
          .hidden_dim = 512,
          .n_experts = 8,
          .n_experts_per_token = 2,
          .vocab_size = 600,
          .context_len = 512,
          .rope_theta = 1e6};
}

}  // namespace mixtral::testing
