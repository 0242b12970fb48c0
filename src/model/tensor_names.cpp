#include "model/tensor_names.h"

#include <vector>

#include "core/check.h"

namespace mixtral {
namespace {

using enum TensorLayout;
using Names = std::vector<TensorName>;

// One row per role, in the order of the enumeration.
struct NameTable {
  Names token_embedding, output_norm, output, attention_norm, wq, wk, wv, wo, ffn_norm, router,
      w_gate, w_up, w_down;

  const Names& operator[](Role role) const {
    const Names* const rows[] = {
        &token_embedding, &output_norm, &output, &attention_norm, &wq,    &wk, &wv, &wo,
        &ffn_norm,        &router,      &w_gate, &w_up,           &w_down};
    return *rows[static_cast<size_t>(role)];
  }
};

const NameTable& gguf_names() {
  static const NameTable table = {
      .token_embedding = {{"token_embd.weight", kWhole}},
      .output_norm = {{"output_norm.weight", kWhole}},
      .output = {{"output.weight", kWhole}},
      .attention_norm = {{"blk.{0}.attn_norm.weight", kWhole}},
      .wq = {{"blk.{0}.attn_q.weight", kWhole}},
      .wk = {{"blk.{0}.attn_k.weight", kWhole}},
      .wv = {{"blk.{0}.attn_v.weight", kWhole}},
      .wo = {{"blk.{0}.attn_output.weight", kWhole}},
      .ffn_norm = {{"blk.{0}.ffn_norm.weight", kWhole}},
      .router = {{"blk.{0}.ffn_gate_inp.weight", kWhole}},
      .w_gate = {{"blk.{0}.ffn_gate_exps.weight", kStacked},
                 {"blk.{0}.ffn_gate.{1}.weight", kPerExpert},
                 {"blk.{0}.ffn_gate.weight", kWhole}},
      .w_up = {{"blk.{0}.ffn_up_exps.weight", kStacked},
               {"blk.{0}.ffn_up.{1}.weight", kPerExpert},
               {"blk.{0}.ffn_up.weight", kWhole}},
      .w_down = {{"blk.{0}.ffn_down_exps.weight", kStacked},
                 {"blk.{0}.ffn_down.{1}.weight", kPerExpert},
                 {"blk.{0}.ffn_down.weight", kWhole}},
  };
  return table;
}

const NameTable& hugging_face_names() {
  static const NameTable table = {
      .token_embedding = {{"model.embed_tokens.weight", kWhole}},
      .output_norm = {{"model.norm.weight", kWhole}},
      .output = {{"lm_head.weight", kWhole}},
      .attention_norm = {{"model.layers.{0}.input_layernorm.weight", kWhole}},
      .wq = {{"model.layers.{0}.self_attn.q_proj.weight", kWhole}},
      .wk = {{"model.layers.{0}.self_attn.k_proj.weight", kWhole}},
      .wv = {{"model.layers.{0}.self_attn.v_proj.weight", kWhole}},
      .wo = {{"model.layers.{0}.self_attn.o_proj.weight", kWhole}},
      .ffn_norm = {{"model.layers.{0}.post_attention_layernorm.weight", kWhole}},
      .router = {{"model.layers.{0}.block_sparse_moe.gate.weight", kWhole},
                 {"model.layers.{0}.mlp.gate.weight", kWhole}},
      .w_gate = {{"model.layers.{0}.block_sparse_moe.experts.{1}.w1.weight", kPerExpert},
                 {"model.layers.{0}.mlp.experts.gate_up_proj", kFusedGate},
                 {"model.layers.{0}.mlp.gate_proj.weight", kWhole}},
      .w_up = {{"model.layers.{0}.block_sparse_moe.experts.{1}.w3.weight", kPerExpert},
               {"model.layers.{0}.mlp.experts.gate_up_proj", kFusedUp},
               {"model.layers.{0}.mlp.up_proj.weight", kWhole}},
      .w_down = {{"model.layers.{0}.block_sparse_moe.experts.{1}.w2.weight", kPerExpert},
                 {"model.layers.{0}.mlp.experts.down_proj", kStacked},
                 {"model.layers.{0}.mlp.down_proj.weight", kWhole}},
  };
  return table;
}

const NameTable& mistral_names() {
  static const NameTable table = {
      .token_embedding = {{"tok_embeddings.weight", kWhole}},
      .output_norm = {{"norm.weight", kWhole}},
      .output = {{"output.weight", kWhole}},
      .attention_norm = {{"layers.{0}.attention_norm.weight", kWhole}},
      .wq = {{"layers.{0}.attention.wq.weight", kWhole}},
      .wk = {{"layers.{0}.attention.wk.weight", kWhole}},
      .wv = {{"layers.{0}.attention.wv.weight", kWhole}},
      .wo = {{"layers.{0}.attention.wo.weight", kWhole}},
      .ffn_norm = {{"layers.{0}.ffn_norm.weight", kWhole}},
      .router = {{"layers.{0}.feed_forward.gate.weight", kWhole}},
      .w_gate = {{"layers.{0}.feed_forward.experts.{1}.w1.weight", kPerExpert},
                 {"layers.{0}.feed_forward.w1.weight", kWhole}},
      .w_up = {{"layers.{0}.feed_forward.experts.{1}.w3.weight", kPerExpert},
               {"layers.{0}.feed_forward.w3.weight", kWhole}},
      .w_down = {{"layers.{0}.feed_forward.experts.{1}.w2.weight", kPerExpert},
                 {"layers.{0}.feed_forward.w2.weight", kWhole}},
  };
  return table;
}

}  // namespace

std::span<const TensorName> tensor_names(CheckpointKind kind, Role role) {
  switch (kind) {
    case CheckpointKind::kGguf:
    case CheckpointKind::kPacked: return gguf_names()[role];
    case CheckpointKind::kHuggingFace: return hugging_face_names()[role];
    case CheckpointKind::kMistral: return mistral_names()[role];
  }
  return {};
}

std::string new_tensor_name(CheckpointKind kind, WeightId id, size_t expert, bool has_router) {
  for (const TensorName& name : tensor_names(kind, id.role)) {
    if (!is_expert(id.role) || (name.layout == TensorLayout::kWhole) != has_router)
      return fmt::format(fmt::runtime(name.pattern), id.layer, expert);
  }
  MIXTRAL_CHECK(false, "every format has a name for every role");
}

bool has_half_rotary_order(CheckpointKind kind) { return kind == CheckpointKind::kHuggingFace; }

// Row 2i + p of a head lies at row i + p * head_dim / 2 of it.
size_t half_order_row(size_t row, size_t head_dim) {
  const size_t in_head = row % head_dim;
  return row - in_head + in_head / 2 + in_head % 2 * (head_dim / 2);
}

}  // namespace mixtral
