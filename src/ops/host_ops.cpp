#include "ops/host_ops.h"

#include <algorithm>
#include <cmath>

namespace mixtral {
namespace {

template <class T>
void copy(TensorView<const T> from, TensorView<T> to) {
  for (size_t r = 0; r < from.rows(); ++r) std::copy_n(from.row(r), from.cols(), to.row(r));
}

}  // namespace

void top_k_softmax(std::span<const float> logits, std::span<int32_t> ids, std::span<float> probs) {
  // K is small: repeated scans beat a sort, and ties fall to the lower id by themselves.
  for (size_t k = 0; k < ids.size(); ++k) {
    const auto chosen = ids.first(k);
    int32_t best = -1;
    for (size_t e = 0; e < logits.size(); ++e) {
      const auto id = static_cast<int32_t>(e);
      if (std::find(chosen.begin(), chosen.end(), id) != chosen.end()) continue;
      if (best < 0 || logits[e] > logits[static_cast<size_t>(best)]) best = id;
    }
    ids[k] = best;
  }
  const float largest = logits[static_cast<size_t>(ids[0])];
  float sum = 0;
  for (size_t k = 0; k < ids.size(); ++k) {
    probs[k] = std::exp(logits[static_cast<size_t>(ids[k])] - largest);
    sum += probs[k];
  }
  for (float& prob : probs) prob /= sum;
}

void copy_rows(TensorView<const float> from, TensorView<float> to) { copy(from, to); }
void copy_rows(TensorView<const int32_t> from, TensorView<int32_t> to) { copy(from, to); }

void gather(TensorView<const float> x, std::span<const int32_t> rows, TensorView<float> y) {
  for (size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(x.row(static_cast<size_t>(rows[i])), x.cols(), y.row(i));
  }
}

void fill_single_expert(const Routing& routing) {
  for (size_t t = 0; t < routing.expert_ids.rows(); ++t) {
    routing.expert_ids.row(t)[0] = 0;
    routing.probs.row(t)[0] = 1.0f;
  }
}

}  // namespace mixtral
