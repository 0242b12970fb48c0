#include "support/model_runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/kv_sequence.h"
#include "ops/reference.h"

namespace mixtral::testing {

double largest_difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - b[i]);
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}
namespace {

class OutputTrace final : public StepTrace {
 public:
  OutputTrace(const ModelConfig& config, ModelOutputs& outputs) : outputs_(outputs) {
    outputs_.hidden.resize(config.n_layers + 1);
    if (config.has_router()) outputs_.router_logits.resize(config.n_layers);
  }
  void on_hidden(size_t index, TensorView<const float> x) override {
    append(x, outputs_.hidden[index]);
  }
  void on_routing(size_t layer, TensorView<const float> logits, const Routing&) override {
    append(logits, outputs_.router_logits[layer]);
  }

 private:
  static void append(TensorView<const float> x, std::vector<float>& to) {
    for (size_t r = 0; r < x.rows(); ++r) to.insert(to.end(), x.row(r), x.row(r) + x.cols());
  }
  ModelOutputs& outputs_;
};

}  // namespace

Result<std::unique_ptr<ModelRunner>> ModelRunner::load(const std::string& path,
                                                       std::unique_ptr<Backend> backend) {
  std::unique_ptr<ModelRunner> runner(new ModelRunner);
  runner->backend_ = std::move(backend);
  MIXTRAL_TRY(Checkpoint checkpoint, Checkpoint::open(path));
  runner->checkpoint_ = std::make_unique<Checkpoint>(std::move(checkpoint));
  MIXTRAL_TRY(runner->model_, Transformer::load(*runner->checkpoint_, *runner->backend_));
  return runner;
}

ModelOutputs ModelRunner::run(const std::vector<int32_t>& ids, size_t chunk) {
  ModelOutputs outputs;
  OutputTrace trace(config(), outputs);
  const auto keep = [&](size_t, std::span<const float> logits) {
    outputs.logits.insert(outputs.logits.end(), logits.begin(), logits.end());
  };
  run(ids, chunk, keep, &trace);
  return outputs;
}

void ModelRunner::run(const std::vector<int32_t>& ids, size_t chunk,
                      FunctionRef<void(size_t, std::span<const float>)> use, StepTrace* trace) {
  chunk = std::min(chunk, ids.size());
  const size_t window = config().sliding_window;
  auto pool = KvPool::create(model_->kv_layout(), pages_per_sequence(ids.size(), window, chunk));
  MIXTRAL_CHECK(pool.has_value(), "no memory for the cache");
  KvSequence kv(*pool, ids.size(), window);
  Arena arena(model_->arena_bytes(chunk, chunk));
  std::vector<int32_t> rows(chunk);
  std::iota(rows.begin(), rows.end(), 0);
  for (size_t begin = 0; begin < ids.size(); begin += chunk) {
    const size_t n = std::min(chunk, ids.size() - begin);
    MIXTRAL_CHECK(kv.extend(n), "too few pages");
    const SequenceRows sequence = {0, n, begin, kv.view()};
    const Batch batch = {
        std::span(ids).subspan(begin, n), {&sequence, 1}, std::span(rows).first(n)};
    const auto logits = model_->forward(arena, batch, trace);
    MIXTRAL_CHECK(logits.has_value(), "a step failed");
    for (size_t r = 0; r < n; ++r) use(begin + r, logits->row_span(r));
  }
}

std::vector<int32_t> ModelRunner::greedy(std::vector<int32_t> ids, size_t n) {
  const size_t prompt = ids.size();
  for (size_t i = 0; i < n; ++i) {
    int32_t best = 0;
    run(ids, ids.size(), [&](size_t, std::span<const float> logits) {
      best = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    });
    ids.push_back(best);
  }
  return {ids.begin() + static_cast<std::ptrdiff_t>(prompt), ids.end()};
}

std::vector<BackendCase> backend_cases(bool exact) {
  std::vector<BackendCase> cases = {{"reference", true}};
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAmx}) {
    if (!isa_supported(isa)) continue;
    cases.push_back({std::string(isa_name(isa)) + (exact ? "_exact" : ""), false, isa, exact});
  }
  return cases;
}

std::unique_ptr<Backend> make_backend(const BackendCase& backend_case, size_t n_threads) {
  if (backend_case.reference) return make_reference_backend();
  auto backend = make_cpu_backend(
      {.n_threads = n_threads, .isa = backend_case.isa, .exact = backend_case.exact});
  MIXTRAL_CHECK(backend.has_value(), "the machine has the instruction set");
  return *std::move(backend);
}

double nll(std::span<const float> logits, int32_t target) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return std::log(sum) + largest - logits[static_cast<size_t>(target)];
}

double mean_nll(std::span<const float> logits, std::span<const int32_t> ids, size_t vocab_size) {
  double sum = 0;
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    sum += nll(logits.subspan(i * vocab_size, vocab_size), ids[i + 1]);
  }
  return sum / static_cast<double>(ids.size() - 1);
}

}  // namespace mixtral::testing
