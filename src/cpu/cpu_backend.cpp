#include "cpu/cpu_backend.h"

#include <algorithm>
#include <vector>

#include "cpu/cpu_weight.h"
#include "cpu/experts.h"
#include "cpu/matmul.h"
#include "ops/host_ops.h"
#include "ops/rope_angles.h"
#include "quant/panel.h"
#include "quant/unpack.h"

namespace mixtral {
namespace cpu {
namespace {

// Rows of one attention task: few enough to spread a chunk over the cores, many enough to share key
// reads.
constexpr size_t kAttentionRows = 32;

const CpuWeight& own(const Weight& weight) { return static_cast<const CpuWeight&>(weight); }

// Where a step's rows stand: the sequence and position of each, and the cosines and sines that
// rotate it. All layers rotate by the same angles, so they are computed once.
class StepRows {
 public:
  void prepare(double theta, size_t head_dim, std::span<const SequenceRows> sequences) {
    owners_.clear();
    positions_.clear();
    for (const SequenceRows& sequence : sequences) {
      for (size_t r = 0; r < sequence.n_rows; ++r) {
        owners_.push_back(&sequence);
        positions_.push_back(sequence.first_position + r);
      }
    }
    if (theta == theta_ && head_dim == 2 * half_dim_ && positions_ == ready_) return;
    if (theta != theta_ || head_dim != 2 * half_dim_) {
      theta_ = theta;
      half_dim_ = head_dim / 2;
      frequencies_ = rope_frequencies(theta, head_dim);
    }
    cosines_.resize(positions_.size() * half_dim_);
    sines_.resize(cosines_.size());
    for (size_t row = 0; row < positions_.size(); ++row) {
      for (size_t i = 0; i < half_dim_; ++i) {
        const RopeAngle angle = rope_angle(frequencies_[i], positions_[row]);
        cosines_[row * half_dim_ + i] = angle.cosine;
        sines_[row * half_dim_ + i] = angle.sine;
      }
    }
    ready_ = positions_;
  }
  size_t count() const { return positions_.size(); }
  size_t position(size_t row) const { return positions_[row]; }
  const KvView& kv(size_t row) const { return owners_[row]->kv; }
  const float* cosines(size_t row) const { return cosines_.data() + row * half_dim_; }
  const float* sines(size_t row) const { return sines_.data() + row * half_dim_; }

 private:
  double theta_ = 0;
  size_t half_dim_ = 0;
  std::vector<float> frequencies_, cosines_, sines_;
  std::vector<const SequenceRows*> owners_;  // of the step being prepared
  std::vector<size_t> positions_, ready_;    // of the step being prepared, of the tables
};

// Rows [first, first + n) of a sequence, which one attention task goes through.
struct AttentionRows {
  const SequenceRows* sequence;
  size_t first, n_rows;

  size_t end_position() const { return sequence->first_position + first + n_rows; }
};

size_t count_attention_rows(std::span<const SequenceRows> sequences) {
  size_t count = 0;
  for (const SequenceRows& sequence : sequences)
    count += (sequence.n_rows + kAttentionRows - 1) / kAttentionRows;
  return count;
}

// Those that see the most positions come first.
std::span<AttentionRows> split_attention(Arena& arena, std::span<const SequenceRows> sequences) {
  const auto parts = arena.take<AttentionRows>(count_attention_rows(sequences));
  auto* next = parts.data();
  for (const SequenceRows& sequence : sequences) {
    for (size_t first = 0; first < sequence.n_rows; first += kAttentionRows)
      *next++ = {&sequence, first, std::min(kAttentionRows, sequence.n_rows - first)};
  }
  std::sort(parts.begin(), parts.end(), [](const AttentionRows& a, const AttentionRows& b) {
    return a.end_position() > b.end_position();
  });
  return parts;
}

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const CpuBackendOptions& options)
      : pool_(options.n_threads),
        context_{kernel_table(options.isa.value_or(best_isa())), pool_, options.exact},
        exact_context_{context_.kernels, pool_, true},
        kv_type_(options.exact ? KvType::kF32 : options.kv_type) {}

  std::string name() const override { return "cpu"; }
  std::string description() const override {
    return fmt::format("cpu, {}, {} thread{}{}", isa_name(context_.kernels.isa), pool_.size(),
                       pool_.size() == 1 ? "" : "s", context_.exact ? ", exact" : "");
  }
  KvType kv_type() const override { return kv_type_; }

  Result<std::unique_ptr<Weight>> load(const WeightSource& source,
                                       FunctionRef<void(uint64_t)>* on_bytes) override {
    return CpuWeight::load(context_, source, on_bytes);
  }
  size_t weight_bytes(const WeightSource& source) const override {
    return CpuWeight::planned_bytes(source);
  }

  void observe_inputs(InputObserver* observer) override {
    context_.observer = exact_context_.observer = observer;
  }
  bool is_observed() const override { return context_.observer != nullptr; }

  size_t scratch_bytes(const StepLimits& limits) const override {
    const AttentionShape& shape = limits.attention;
    const size_t widest =
        std::max({limits.dim, shape.n_heads * shape.head_dim, limits.adapter_rank});
    const size_t group = shape.n_heads / shape.n_kv_heads;
    // Every row may be a sequence of its own.
    const size_t attention =
        arena_bytes<float>(attention_scratch_floats(group, shape.head_dim)) * pool_.size() +
        arena_bytes<AttentionRows>(limits.n_tokens);
    return std::max({multiply_parts_bytes(context_, limits.n_tokens, widest), attention,
                     run_experts_bytes(context_, limits)}) +
           arena_bytes<std::byte>(limits.dim * sizeof(float));
  }

  void embed(Arena& arena, const Weight& table, std::span<const int32_t> token_ids,
             TensorView<float> x) override {
    const size_t mark = arena.used(), cols = table.cols();
    const auto stored = arena.take<std::byte>(row_bytes(table.type(), cols));
    for (size_t t = 0; t < token_ids.size(); ++t) {
      const auto id = static_cast<size_t>(token_ids[t]);
      unpack_panel_row(table.type(), cols, own(table).panel(0, id / kPanelRows), id % kPanelRows,
                       stored.data());
      unpack(table.type(), stored.data(), cols, x.row(t));
    }
    arena.rewind(mark);
  }

  void rms_norm(Arena&, TensorView<const float> x, const Weight& weight, float eps,
                TensorView<float> y) override {
    for_each_row(x.rows(), x.cols(), [&](size_t row, size_t) {
      context_.kernels.rms_norm(x.row(row), own(weight).vector(), eps, x.cols(), y.row(row));
    });
  }

  void linear(Arena& arena, TensorView<const float> x, std::span<const LinearPart> parts) override {
    multiply_parts(context_, arena, x, parts, OutputMode::kStore);
  }

  void linear_add(Arena& arena, TensorView<const float> x, const Weight& weight,
                  TensorView<float> residual) override {
    const LinearPart part = {&weight, residual};
    multiply_parts(context_, arena, x, {&part, 1}, OutputMode::kAdd);
  }

  void rope_and_cache(Arena&, const LayerAttention& layer, TensorView<float> q, TensorView<float> k,
                      TensorView<const float> v) override {
    const AttentionShape& shape = layer.shape;
    rows_.prepare(layer.rope_theta, shape.head_dim, layer.sequences);
    for_each_row(rows_.count(), q.cols() + k.cols(), [&](size_t row, size_t) {
      const float* cosines = rows_.cosines(row);
      const float* sines = rows_.sines(row);
      context_.kernels.rope(q.row(row), shape.n_heads, shape.head_dim, cosines, sines);
      context_.kernels.rope(k.row(row), shape.n_kv_heads, shape.head_dim, cosines, sines);
      store_kv(rows_.kv(row), layer.layer, rows_.position(row), k.row(row), v.row(row));
    });
  }

  void attention(Arena& arena, const LayerAttention& layer, TensorView<const float> q,
                 TensorView<float> y) override {
    const AttentionShape& shape = layer.shape;
    const size_t mark = arena.used();
    const size_t group = shape.n_heads / shape.n_kv_heads;
    const size_t scratch_floats =
        arena_bytes<float>(attention_scratch_floats(group, shape.head_dim)) / sizeof(float);
    const auto scratch = arena.take<float>(pool_.size() * scratch_floats);
    const auto parts = split_attention(arena, layer.sequences);
    pool_.for_each(parts.size() * shape.n_kv_heads, [&](size_t task, size_t worker) {
      const AttentionRows& part = parts[task / shape.n_kv_heads];
      const size_t kv_head = task % shape.n_kv_heads;
      const size_t row = part.sequence->first_row + part.first;
      const size_t head = kv_head * group * shape.head_dim;
      context_.kernels.attention({.q = q.row(row) + head,
                                  .y = y.row(row) + head,
                                  .q_stride = q.stride(),
                                  .n_rows = part.n_rows,
                                  .first_position = part.sequence->first_position + part.first,
                                  .group = group,
                                  .head_dim = shape.head_dim,
                                  .sliding_window = shape.sliding_window,
                                  .kv = &part.sequence->kv,
                                  .layer = layer.layer,
                                  .kv_head = kv_head,
                                  .scratch = scratch.data() + worker * scratch_floats});
    });
    arena.rewind(mark);
  }

  void route(Arena& arena, TensorView<const float> x, const Weight& router,
             TensorView<float> logits, const Routing& routing) override {
    const LinearPart part = {&router, logits};
    multiply_parts(exact_context_, arena, x, {&part, 1}, OutputMode::kStore);
    for (size_t t = 0; t < x.rows(); ++t) {
      top_k_softmax(logits.row_span(t), routing.expert_ids.row_span(t), routing.probs.row_span(t));
    }
  }

  void experts(Arena& arena, TensorView<const float> x, const ExpertWeights& weights,
               const Routing& routing, TensorView<float> residual) override {
    run_experts(context_, arena, x, weights, routing, residual);
  }

  void download(TensorView<const float> from, TensorView<float> to) override {
    copy_rows(from, to);
  }
  void download(TensorView<const int32_t> from, TensorView<int32_t> to) override {
    copy_rows(from, to);
  }
  void gather_rows(TensorView<const float> x, std::span<const int32_t> rows,
                   TensorView<float> y) override {
    gather(x, rows, y);
  }
  void route_to_single_expert(const Routing& routing) override { fill_single_expert(routing); }

  Status finish_step() override { return {}; }

 private:
  void for_each_row(size_t n_rows, size_t work_per_row, FunctionRef<void(size_t, size_t)> body) {
    if (n_rows * work_per_row <= kSerialWork) {
      for (size_t row = 0; row < n_rows; ++row) body(row, 0);
    } else {
      pool_.for_each(n_rows, body);
    }
  }

  void store_kv(const KvView& kv, size_t layer, size_t position, const float* k,
                const float* v) const {
    const KvLayout& layout = kv.layout;
    std::byte* page = kv.pages[position / kPageTokens];
    for (size_t h = 0; h < layout.n_kv_heads; ++h) {
      context_.kernels.store_kv(layout, position % kPageTokens, k + h * layout.head_dim,
                                v + h * layout.head_dim, page + layout.keys_offset(layer, h),
                                page + layout.values_offset(layer, h));
    }
  }

  ThreadPool pool_;
  CpuContext context_;
  CpuContext
      exact_context_;  // for the router, whatever the mode: a coin's flip decides who answers
  KvType kv_type_;
  StepRows rows_;
};

}  // namespace
}  // namespace cpu

Result<std::unique_ptr<Backend>> make_cpu_backend(const CpuBackendOptions& options) {
  if (options.isa && !isa_supported(*options.isa)) {
    return fail(ErrorCode::kUnsupported, "this machine ({}) has no {}; the best it has is {}",
                cpu_model_name(), isa_name(*options.isa), isa_name(best_isa()));
  }
  return std::make_unique<cpu::CpuBackend>(options);
}

}  // namespace mixtral
