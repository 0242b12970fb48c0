#include "model/transformer.h"

#include <algorithm>

#include "core/progress_task.h"

namespace mixtral {
namespace {

uint64_t stored_bytes(const WeightSource& source) {
  uint64_t total = 0;
  for (size_t m = 0; m < source.n_matrices(); ++m) total += source.rows() * source.row_bytes(m);
  return total;
}

// What the adapters change in the experts of a layer.
std::span<const ExpertAdapter> expert_adapters(Arena& arena, size_t layer,
                                               std::span<const AdapterRows> adapters) {
  const auto all = arena.take<ExpertAdapter>(adapters.size());
  size_t n = 0;
  for (const AdapterRows& rows : adapters) {
    const ExpertAdapter changes = {
        rows.first_row, rows.n_rows, rows.adapter->change({Role::kWGate, layer}),
        rows.adapter->change({Role::kWUp, layer}), rows.adapter->change({Role::kWDown, layer})};
    const bool any =
        changes.gate.a != nullptr || changes.up.a != nullptr || changes.down.a != nullptr;
    if (any) all[n++] = changes;
  }
  return all.first(n);
}

// The adapters of the rows of logits, in the place of those of the step's rows.
std::span<const AdapterRows> logit_adapters(Arena& arena, const Batch& batch) {
  if (batch.adapters.empty()) return {};
  const auto all = arena.take<AdapterRows>(batch.logit_rows.size());
  size_t n = 0;
  for (size_t i = 0; i < batch.logit_rows.size(); ++i) {
    const auto row = static_cast<size_t>(batch.logit_rows[i]);
    const auto owner =
        std::find_if(batch.adapters.begin(), batch.adapters.end(), [&](const AdapterRows& rows) {
          return row >= rows.first_row && row - rows.first_row < rows.n_rows;
        });
    if (owner == batch.adapters.end()) continue;
    const bool goes_on = n > 0 && all[n - 1].adapter == owner->adapter &&
                         all[n - 1].first_row + all[n - 1].n_rows == i;
    if (goes_on) {
      all[n - 1].n_rows += 1;
    } else {
      all[n++] = {i, 1, owner->adapter};
    }
  }
  return all.first(n);
}

}  // namespace

std::unique_ptr<Weight>& Transformer::slot(WeightId id) {
  switch (id.role) {
    case Role::kTokenEmbedding: return token_embedding_;
    case Role::kOutputNorm: return output_norm_;
    case Role::kOutput: return output_;
    case Role::kAttentionNorm: return layers_[id.layer].attention_norm;
    case Role::kWq: return layers_[id.layer].wq;
    case Role::kWk: return layers_[id.layer].wk;
    case Role::kWv: return layers_[id.layer].wv;
    case Role::kWo: return layers_[id.layer].wo;
    case Role::kFfnNorm: return layers_[id.layer].ffn_norm;
    case Role::kRouter: return layers_[id.layer].router;
    case Role::kWGate: return layers_[id.layer].w_gate;
    case Role::kWUp: return layers_[id.layer].w_up;
    case Role::kWDown: return layers_[id.layer].w_down;
  }
  MIXTRAL_CHECK(false, "unknown role");
}

const Weight& Transformer::weight(WeightId id) const {
  return *const_cast<Transformer*>(this)->slot(id);  // NOLINT: slot() changes nothing by itself
}

Result<std::unique_ptr<Transformer>> Transformer::load(const Checkpoint& checkpoint,
                                                       Backend& backend, Progress* progress) {
  const ModelConfig& config = checkpoint.config();
  std::unique_ptr<Transformer> model(new Transformer(config, backend));
  model->layers_.resize(config.n_layers);
  const std::vector<WeightId> ids = all_weights(config);
  uint64_t total = 0;
  for (const WeightId id : ids) total += stored_bytes(*checkpoint.source(id));
  ProgressTask load_progress(progress, "loading", total);
  FunctionRef<void(uint64_t)> on_bytes(load_progress);
  for (const WeightId id : ids) {
    auto weight = backend.load(*checkpoint.source(id), &on_bytes);
    if (!weight) return with_context(std::move(weight).error(), checkpoint.path());
    model->slot(id) = *std::move(weight);
  }
  return model;
}

KvLayout Transformer::kv_layout() const {
  return {backend_.kv_type(), config_.n_layers, config_.n_kv_heads, config_.head_dim};
}

size_t Transformer::weight_bytes() const {
  size_t total = 0;
  for (const WeightId id : all_weights(config_)) total += weight(id).bytes();
  return total;
}

size_t Transformer::arena_bytes(size_t max_tokens, size_t max_logit_rows,
                                size_t adapter_rank) const {
  return step_arena_bytes(config_, backend_, max_tokens, max_logit_rows, adapter_rank);
}

size_t step_arena_bytes(const ModelConfig& config, const Backend& backend, size_t max_tokens,
                        size_t max_logit_rows, size_t adapter_rank) {
  const size_t q = config.n_heads * config.head_dim, kv = config.n_kv_heads * config.head_dim;
  const auto floats = [](size_t rows, size_t cols) { return arena_bytes<float>(rows * cols); };
  const size_t attention = 2 * floats(max_tokens, q) + 2 * floats(max_tokens, kv);
  const size_t routing =
      floats(max_tokens, config.n_experts) + 2 * floats(max_tokens, config.n_experts_per_token);
  const size_t output = 2 * floats(max_tokens + max_logit_rows, config.dim) +
                        floats(max_logit_rows, config.vocab_size);
  const size_t adapters = floats(std::max(max_tokens, max_logit_rows), adapter_rank) +
                          mixtral::arena_bytes<ExpertAdapter>(max_tokens) +
                          mixtral::arena_bytes<AdapterRows>(max_logit_rows);
  return 2 * floats(max_tokens, config.dim) + std::max(attention, routing) + output +
         (adapter_rank == 0 ? 0 : adapters) +
         backend.scratch_bytes({max_tokens, config.dim, config.hidden_dim, config.n_experts,
                                config.n_experts_per_token, adapter_rank, config.attention()});
}

Result<TensorView<const float>> Transformer::forward(Arena& arena, const Batch& batch,
                                                     StepTrace* trace) const {
  arena.reset();
  const size_t n_tokens = batch.token_ids.size();
  const bool shows_hidden = trace != nullptr && trace->wants_hidden();
  // Nobody asks what the last layer's experts say of the other rows.
  const bool all_rows =
      batch.logit_rows.size() >= n_tokens || shows_hidden || backend_.is_observed();
  auto x = arena.take_matrix<float>(n_tokens, config_.dim);
  auto last = arena.take_matrix<float>(batch.logit_rows.size(), config_.dim);
  backend_.embed(arena, *token_embedding_, batch.token_ids, x);
  for (size_t layer = 0; layer < config_.n_layers; ++layer) {
    if (shows_hidden) trace->on_hidden(layer, x);
    const size_t mark = arena.used();
    attention_block(arena, layer, batch, x);
    arena.rewind(mark);
    if (all_rows || layer + 1 < config_.n_layers) {
      feed_forward_block(arena, layer, batch.adapters, x, trace);
    } else {
      if (trace != nullptr)
        route(arena, layer, x, arena.take_matrix<float>(n_tokens, config_.dim), trace);
      arena.rewind(mark);
      backend_.gather_rows(x, batch.logit_rows, last);
      if (last.rows() > 0)
        feed_forward_block(arena, layer, logit_adapters(arena, batch), last, nullptr);
    }
    arena.rewind(mark);
  }
  if (shows_hidden) {
    auto normed = arena.take_matrix<float>(n_tokens, config_.dim);
    backend_.rms_norm(arena, x, *output_norm_, config_.norm_eps, normed);
    trace->on_hidden(config_.n_layers, normed);
  }

  auto logits = arena.take_matrix<float>(batch.logit_rows.size(), config_.vocab_size);
  if (all_rows) backend_.gather_rows(x, batch.logit_rows, last);
  backend_.rms_norm(arena, last, *output_norm_, config_.norm_eps, last);
  const LinearPart part = {config_.tied_embeddings ? token_embedding_.get() : output_.get(),
                           logits};
  backend_.linear(arena, last, {&part, 1});
  add_changes(arena, {Role::kOutput}, logit_adapters(arena, batch), last, logits);
  MIXTRAL_TRY(backend_.finish_step());
  return logits;
}

// y += b (a x) for the rows of adapters that change this weight.
void Transformer::add_changes(Arena& arena, WeightId id, std::span<const AdapterRows> adapters,
                              TensorView<const float> x, TensorView<float> y) const {
  for (const AdapterRows& rows : adapters) {
    const LowRank change = rows.adapter->change(id);
    if (change.a == nullptr) continue;
    const size_t mark = arena.used();
    const auto inner = arena.take_matrix<float>(rows.n_rows, change.a->rows());
    const LinearPart part = {change.a, inner};
    backend_.linear(arena, x.rows_from(rows.first_row, rows.n_rows), {&part, 1});
    backend_.linear_add(arena, inner, *change.b, y.rows_from(rows.first_row, rows.n_rows));
    arena.rewind(mark);
  }
}

// x += wo · attention(rope(wq · n), rope(wk · n), wv · n),  n = rms_norm(x)
void Transformer::attention_block(Arena& arena, size_t index, const Batch& batch,
                                  TensorView<float> x) const {
  const Layer& layer = layers_[index];
  const AttentionShape shape = config_.attention();
  const LayerAttention attention = {shape, config_.rope_theta, index, batch.sequences};
  auto normed = arena.take_matrix<float>(x.rows(), config_.dim);
  auto q = arena.take_matrix<float>(x.rows(), shape.n_heads * shape.head_dim);
  auto k = arena.take_matrix<float>(x.rows(), shape.n_kv_heads * shape.head_dim);
  auto v = arena.take_matrix<float>(x.rows(), shape.n_kv_heads * shape.head_dim);
  auto mixed = arena.take_matrix<float>(x.rows(), shape.n_heads * shape.head_dim);

  backend_.rms_norm(arena, x, *layer.attention_norm, config_.norm_eps, normed);
  const LinearPart parts[] = {{layer.wq.get(), q}, {layer.wk.get(), k}, {layer.wv.get(), v}};
  backend_.linear(arena, normed, parts);
  add_changes(arena, {Role::kWq, index}, batch.adapters, normed, q);
  add_changes(arena, {Role::kWk, index}, batch.adapters, normed, k);
  add_changes(arena, {Role::kWv, index}, batch.adapters, normed, v);
  backend_.rope_and_cache(arena, attention, q, k, v);
  backend_.attention(arena, attention, q, mixed);
  backend_.linear_add(arena, mixed, *layer.wo, x);
  add_changes(arena, {Role::kWo, index}, batch.adapters, mixed, x);
}

// normed = rms_norm(x), and the experts that the router chooses for it.
Routing Transformer::route(Arena& arena, size_t index, TensorView<const float> x,
                           TensorView<float> normed, StepTrace* trace) const {
  const Layer& layer = layers_[index];
  const size_t n_tokens = x.rows(), k = config_.n_experts_per_token;
  const Routing routing = {arena.take_matrix<int32_t>(n_tokens, k),
                           arena.take_matrix<float>(n_tokens, k)};
  backend_.rms_norm(arena, x, *layer.ffn_norm, config_.norm_eps, normed);
  if (config_.has_router()) {
    auto logits = arena.take_matrix<float>(n_tokens, config_.n_experts);
    backend_.route(arena, normed, *layer.router, logits, routing);
    if (trace != nullptr) trace->on_routing(index, logits, routing);
  } else {
    backend_.route_to_single_expert(routing);
  }
  return routing;
}

// x += sum over the chosen experts e of p_e * w_down_e( silu(w_gate_e n) * w_up_e n ),  n =
// rms_norm(x)
void Transformer::feed_forward_block(Arena& arena, size_t index,
                                     std::span<const AdapterRows> adapters, TensorView<float> x,
                                     StepTrace* trace) const {
  const Layer& layer = layers_[index];
  auto normed = arena.take_matrix<float>(x.rows(), config_.dim);
  const Routing routing = route(arena, index, x, normed, trace);
  backend_.experts(arena, normed,
                   {layer.w_gate.get(), layer.w_up.get(), layer.w_down.get(),
                    expert_adapters(arena, index, adapters)},
                   routing, x);
}

}  // namespace mixtral
