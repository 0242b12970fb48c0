#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "core/half.h"
#include "ops/host_ops.h"
#include "ops/load_rows.h"
#include "ops/reference.h"
#include "ops/rope_angles.h"
#include "quant/unpack.h"

namespace mixtral {
namespace {

// The stored bytes, row after row, matrix after matrix.
class ReferenceWeight final : public Weight {
 public:
  explicit ReferenceWeight(const WeightSource& source)
      : Weight(source), begins_(source.n_matrices()) {
    size_t total = 0;
    for (size_t m = 0; m < n_matrices(); ++m) {
      begins_[m] = total;
      total += rows() * source.row_bytes(m);
    }
    data_.resize(total);
  }

  size_t bytes() const override { return data_.size(); }
  std::string kernel() const override { return "scalar double"; }

  std::span<std::byte> matrix(size_t m) {
    return {data_.data() + begins_[m], rows() * row_bytes(type(m), cols())};
  }
  void widen_row(size_t m, size_t row, std::span<float> out) const {
    const std::byte* stored = data_.data() + begins_[m] + row * row_bytes(type(m), cols());
    unpack(type(m), stored, cols(), out.data());
  }
  std::vector<float> widened_row(size_t m, size_t row) const {
    std::vector<float> out(cols());
    widen_row(m, row, out);
    return out;
  }

 private:
  std::vector<size_t> begins_;
  std::vector<std::byte> data_;
};

const ReferenceWeight& own(const Weight& weight) {
  return static_cast<const ReferenceWeight&>(weight);
}

double dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

// Calls use(token, row, x[token] · weight[row]) for the given tokens and every row, widening a row
// once.
template <class Use>
void multiply(const Weight& weight, size_t matrix, TensorView<const float> x,
              std::span<const size_t> tokens, Use use) {
  std::vector<float> row(weight.cols());
  for (size_t r = 0; r < weight.rows(); ++r) {
    own(weight).widen_row(matrix, r, row);
    for (const size_t t : tokens) use(t, r, static_cast<float>(dot(x.row_span(t), row)));
  }
}

// Passes to `use` what the adapters' changes of a matrix add to the products of the given tokens.
template <class Use>
void multiply_changes(std::span<const ExpertAdapter> adapters, LowRank ExpertAdapter::*change,
                      size_t matrix, TensorView<const float> x, std::span<const size_t> tokens,
                      Use use) {
  for (const ExpertAdapter& adapter : adapters) {
    const LowRank& low_rank = adapter.*change;
    if (low_rank.a == nullptr) continue;
    std::vector<size_t> own_tokens;
    for (const size_t t : tokens) {
      if (t >= adapter.first_row && t - adapter.first_row < adapter.n_rows) own_tokens.push_back(t);
    }
    std::vector<float> values(x.rows() * low_rank.a->rows());
    const TensorView<float> inner(values.data(), x.rows(), low_rank.a->rows());
    multiply(*low_rank.a, matrix, x, own_tokens,
             [&](size_t t, size_t r, float value) { inner.row(t)[r] = value; });
    multiply(*low_rank.b, matrix, inner, own_tokens, use);
  }
}

// h = silu(h) * up
void swiglu(std::span<const float> up, std::span<float> h) {
  for (size_t i = 0; i < h.size(); ++i) h[i] = h[i] / (1.0f + std::exp(-h[i])) * up[i];
}

std::vector<size_t> all_rows(size_t n) {
  std::vector<size_t> rows(n);
  std::iota(rows.begin(), rows.end(), size_t{0});
  return rows;
}

float* cached_part(const SequenceRows& sequence, size_t offset, size_t position) {
  return reinterpret_cast<float*>(sequence.kv.pages[position / kPageTokens] + offset);
}

class ReferenceBackend final : public Backend {
 public:
  std::string name() const override { return "reference"; }
  std::string description() const override { return "reference, scalar, 1 thread"; }
  KvType kv_type() const override { return KvType::kF32; }

  Result<std::unique_ptr<Weight>> load(const WeightSource& source,
                                       FunctionRef<void(uint64_t)>* on_bytes) override {
    auto weight = std::make_unique<ReferenceWeight>(source);
    for (size_t m = 0; m < source.n_matrices(); ++m) {
      const size_t row_bytes = source.row_bytes(m);
      const size_t step = std::max<size_t>(1, (size_t{1} << 20) / std::max<size_t>(1, row_bytes));
      for (size_t row = 0; row < source.rows(); row += step) {
        const size_t n = std::min(step, source.rows() - row);
        const auto bytes = weight->matrix(m).subspan(row * row_bytes, n * row_bytes);
        MIXTRAL_TRY(read_finite_rows(source, m, row, n, bytes));
        if (on_bytes != nullptr) (*on_bytes)(bytes.size());
      }
    }
    return weight;
  }

  size_t weight_bytes(const WeightSource& source) const override {
    size_t total = 0;
    for (size_t m = 0; m < source.n_matrices(); ++m) total += source.rows() * source.row_bytes(m);
    return total;
  }

  void observe_inputs(InputObserver* observer) override { observer_ = observer; }
  bool is_observed() const override { return observer_ != nullptr; }

  size_t scratch_bytes(const StepLimits&) const override {
    return 0;
  }  // it uses vectors of its own

  void embed(Arena&, const Weight& table, std::span<const int32_t> token_ids,
             TensorView<float> x) override {
    for (size_t t = 0; t < token_ids.size(); ++t) {
      own(table).widen_row(0, static_cast<size_t>(token_ids[t]), x.row_span(t));
    }
  }

  void rms_norm(Arena&, TensorView<const float> x, const Weight& weight, float eps,
                TensorView<float> y) override {
    const std::vector<float> scale = own(weight).widened_row(0, 0);
    for (size_t t = 0; t < x.rows(); ++t) {
      const auto row = x.row_span(t);
      const double mean = dot(row, row) / static_cast<double>(x.cols());
      const double inverse = 1.0 / std::sqrt(mean + eps);
      for (size_t i = 0; i < x.cols(); ++i) {
        y.row(t)[i] = static_cast<float>(row[i] * inverse * scale[i]);
      }
    }
  }

  void linear(Arena&, TensorView<const float> x, std::span<const LinearPart> parts) override {
    for (const LinearPart& part : parts) {
      observe(*part.weight, 0, x, all_rows(x.rows()));
      multiply(*part.weight, 0, x, all_rows(x.rows()),
               [&](size_t t, size_t r, float value) { part.y.row(t)[r] = value; });
    }
  }

  void linear_add(Arena&, TensorView<const float> x, const Weight& weight,
                  TensorView<float> residual) override {
    observe(weight, 0, x, all_rows(x.rows()));
    multiply(weight, 0, x, all_rows(x.rows()),
             [&](size_t t, size_t r, float value) { residual.row(t)[r] += value; });
  }

  void rope_and_cache(Arena&, const LayerAttention& layer, TensorView<float> q, TensorView<float> k,
                      TensorView<const float> v) override {
    const size_t n = layer.shape.head_dim;
    const std::vector<float> frequencies = rope_frequencies(layer.rope_theta, n);
    const auto rotate = [&](std::span<float> x, size_t position) {
      for (size_t i = 0; i < x.size(); i += 2) {
        const RopeAngle angle = rope_angle(frequencies[i % n / 2], position);
        const float a = x[i], b = x[i + 1];
        x[i] = a * angle.cosine - b * angle.sine;
        x[i + 1] = b * angle.cosine + a * angle.sine;
      }
    };
    for (const SequenceRows& sequence : layer.sequences) {
      const KvLayout& layout = sequence.kv.layout;
      for (size_t r = 0; r < sequence.n_rows; ++r) {
        const size_t row = sequence.first_row + r, position = sequence.first_position + r;
        rotate(q.row_span(row), position);
        rotate(k.row_span(row), position);
        for (size_t h = 0; h < layer.shape.n_kv_heads; ++h) {
          float* keys = cached_part(sequence, layout.keys_offset(layer.layer, h), position);
          float* values = cached_part(sequence, layout.values_offset(layer.layer, h), position);
          for (size_t d = 0; d < n; ++d) {
            keys[layout.key_index(position % kPageTokens, d)] = k.row(row)[h * n + d];
            values[layout.value_index(position % kPageTokens, d)] = v.row(row)[h * n + d];
          }
        }
      }
    }
  }

  void attention(Arena&, const LayerAttention& layer, TensorView<const float> q,
                 TensorView<float> y) override {
    const size_t n = layer.shape.head_dim;
    for (const SequenceRows& sequence : layer.sequences) {
      for (size_t r = 0; r < sequence.n_rows; ++r) {
        const size_t row = sequence.first_row + r, position = sequence.first_position + r;
        for (size_t h = 0; h < layer.shape.n_heads; ++h) {
          attend(layer, sequence, position, h, q.row_span(row).subspan(h * n, n),
                 y.row_span(row).subspan(h * n, n));
        }
      }
    }
  }

  void route(Arena&, TensorView<const float> x, const Weight& router, TensorView<float> logits,
             const Routing& routing) override {
    observe(router, 0, x, all_rows(x.rows()));
    multiply(router, 0, x, all_rows(x.rows()),
             [&](size_t t, size_t e, float value) { logits.row(t)[e] = value; });
    for (size_t t = 0; t < x.rows(); ++t) {
      top_k_softmax(logits.row_span(t), routing.expert_ids.row_span(t), routing.probs.row_span(t));
    }
  }

  void experts(Arena&, TensorView<const float> x, const ExpertWeights& weights,
               const Routing& routing, TensorView<float> residual) override {
    const size_t n_tokens = x.rows(), k = routing.expert_ids.cols();
    const size_t hidden_dim = weights.w_gate->rows(), dim = weights.w_down->rows();
    std::vector<float> outputs(n_tokens * k * dim);
    for (size_t e = 0; e < weights.w_gate->n_matrices(); ++e) {
      std::vector<size_t> tokens,
          slots;  // the tokens that chose expert e, and as which of their choices
      for (size_t t = 0; t < n_tokens; ++t) {
        for (size_t s = 0; s < k; ++s) {
          if (routing.expert_ids.row(t)[s] != static_cast<int32_t>(e)) continue;
          tokens.push_back(t);
          slots.push_back(s);
        }
      }
      if (tokens.empty()) continue;
      std::vector<float> hidden(n_tokens * hidden_dim), ups(n_tokens * hidden_dim);
      const TensorView<float> h(hidden.data(), n_tokens, hidden_dim);
      const TensorView<float> u(ups.data(), n_tokens, hidden_dim);
      observe(*weights.w_gate, e, x, tokens);
      observe(*weights.w_up, e, x, tokens);
      multiply(*weights.w_gate, e, x, tokens,
               [&](size_t t, size_t r, float gate) { h.row(t)[r] = gate; });
      multiply_changes(weights.adapters, &ExpertAdapter::gate, e, x, tokens,
                       [&](size_t t, size_t r, float gate) { h.row(t)[r] += gate; });
      multiply(*weights.w_up, e, x, tokens,
               [&](size_t t, size_t r, float up) { u.row(t)[r] = up; });
      multiply_changes(weights.adapters, &ExpertAdapter::up, e, x, tokens,
                       [&](size_t t, size_t r, float up) { u.row(t)[r] += up; });
      for (const size_t t : tokens) swiglu(u.row_span(t), h.row_span(t));
      observe(*weights.w_down, e, h, tokens);
      std::vector<size_t> slot_of(n_tokens);
      for (size_t i = 0; i < tokens.size(); ++i) slot_of[tokens[i]] = slots[i];
      multiply(*weights.w_down, e, h, tokens, [&](size_t t, size_t r, float down) {
        outputs[(t * k + slot_of[t]) * dim + r] = down;
      });
      multiply_changes(
          weights.adapters, &ExpertAdapter::down, e, h, tokens,
          [&](size_t t, size_t r, float down) { outputs[(t * k + slot_of[t]) * dim + r] += down; });
    }
    for (size_t t = 0; t < n_tokens; ++t) {
      for (size_t i = 0; i < dim; ++i) {
        double sum = 0;
        for (size_t s = 0; s < k; ++s) {
          sum += static_cast<double>(routing.probs.row(t)[s]) * outputs[(t * k + s) * dim + i];
        }
        residual.row(t)[i] += static_cast<float>(sum);
      }
    }
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
  void observe(const Weight& weight, size_t matrix, TensorView<const float> x,
               std::span<const size_t> tokens) const {
    if (observer_ == nullptr) return;
    for (const size_t t : tokens) observer_->on_inputs(weight, matrix, 0, x.rows_from(t, 1));
  }

  static void attend(const LayerAttention& layer, const SequenceRows& sequence, size_t position,
                     size_t head, std::span<const float> q, std::span<float> y) {
    const AttentionShape& shape = layer.shape;
    const size_t kv_head = head / (shape.n_heads / shape.n_kv_heads);
    const KvLayout& layout = sequence.kv.layout;
    const size_t window = shape.sliding_window;
    const size_t first = window == 0 || position < window ? 0 : position + 1 - window;
    std::vector<double> scores(position + 1 - first);
    double largest = -INFINITY;
    for (size_t p = first; p <= position; ++p) {
      const float* keys = cached_part(sequence, layout.keys_offset(layer.layer, kv_head), p);
      double product = 0;
      for (size_t d = 0; d < q.size(); ++d) {
        product += static_cast<double>(q[d]) * keys[layout.key_index(p % kPageTokens, d)];
      }
      scores[p - first] = product / std::sqrt(static_cast<double>(q.size()));
      largest = std::max(largest, scores[p - first]);
    }
    double sum = 0;
    for (double& score : scores) sum += score = std::exp(score - largest);
    std::vector<double> mixed(q.size());
    for (size_t p = first; p <= position; ++p) {
      const float* values = cached_part(sequence, layout.values_offset(layer.layer, kv_head), p);
      for (size_t d = 0; d < mixed.size(); ++d) {
        mixed[d] += scores[p - first] * values[layout.value_index(p % kPageTokens, d)];
      }
    }
    for (size_t i = 0; i < mixed.size(); ++i) y[i] = static_cast<float>(mixed[i] / sum);
  }

  InputObserver* observer_ = nullptr;
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() { return std::make_unique<ReferenceBackend>(); }

}  // namespace mixtral
