#include "bench_model.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>

namespace mixtral {
namespace {

using Clock = std::chrono::steady_clock;

// What cached positions that nobody computed are made of: an ordinary number in every type of
// cache. Attention takes as long over these as over real ones.
constexpr int kFilling = 0x2C;

// Which experts a step sent tokens to, layer by layer: in the last one those of rows with logits.
class ExpertsUsed : public StepTrace {
 public:
  ExpertsUsed(const ModelConfig& config, const std::vector<int32_t>& logit_rows)
      : used(config.n_layers, std::vector<bool>(config.n_experts, !config.has_router())),
        logit_rows_(logit_rows) {}

  bool wants_hidden() const override { return false; }
  void on_hidden(size_t, TensorView<const float>) override {}
  void on_routing(size_t layer, TensorView<const float>, const Routing& routing) override {
    const auto use = [&](size_t row) {
      for (const int32_t expert : routing.expert_ids.row_span(row))
        used[layer][static_cast<size_t>(expert)] = true;
    };
    if (layer + 1 == used.size()) {
      for (const int32_t row : logit_rows_) use(static_cast<size_t>(row));
    } else {
      for (size_t row = 0; row < routing.expert_ids.rows(); ++row) use(row);
    }
  }

  std::vector<std::vector<bool>> used;

 private:
  const std::vector<int32_t>& logit_rows_;
};

size_t largest_step(const std::vector<BenchCase>& cases, size_t chunk_tokens) {
  size_t largest = 1;
  for (const BenchCase& test : cases) {
    const size_t prompt =
        test.test == BenchTest::kDecode ? 0 : std::min(test.n_tokens, chunk_tokens);
    const size_t others = test.test == BenchTest::kPrefill ? 0 : test.batch;
    largest = std::max(largest, prompt + others);
  }
  return largest;
}

}  // namespace

std::string_view bench_test_name(BenchTest test) {
  switch (test) {
    case BenchTest::kPrefill: return "prefill";
    case BenchTest::kDecode: return "decode";
    case BenchTest::kMixed: return "mixed";
  }
  MIXTRAL_CHECK(false, "unknown test");
}

size_t BenchCase::n_sequences() const {
  switch (test) {
    case BenchTest::kPrefill: return 1;
    case BenchTest::kDecode: return batch;
    case BenchTest::kMixed: return batch + 1;
  }
  MIXTRAL_CHECK(false, "unknown test");
}

size_t BenchCase::n_rows() const {
  switch (test) {
    case BenchTest::kPrefill: return n_tokens;
    case BenchTest::kDecode: return batch * n_tokens;
    case BenchTest::kMixed: return batch + n_tokens;
  }
  MIXTRAL_CHECK(false, "unknown test");
}

Result<std::unique_ptr<BenchModel>> BenchModel::load(const std::string& path,
                                                     std::unique_ptr<Backend> backend,
                                                     const std::vector<BenchCase>& cases,
                                                     size_t chunk_tokens, Progress* progress) {
  MIXTRAL_TRY(const Checkpoint checkpoint, Checkpoint::open(path));
  MIXTRAL_TRY(auto model, Transformer::load(checkpoint, *backend, progress));
  std::unique_ptr<BenchModel> bench(new BenchModel(std::move(backend), std::move(model)));
  MIXTRAL_TRY(bench->add_caches(cases, chunk_tokens));
  return bench;
}

Status BenchModel::add_caches(const std::vector<BenchCase>& cases, size_t chunk_tokens) {
  chunk_tokens_ = chunk_tokens;
  size_t n_sequences = 0, n_positions = 1;
  for (const BenchCase& test : cases) {
    n_sequences = std::max(n_sequences, test.n_sequences());
    n_positions = std::max(n_positions, test.depth + test.n_tokens);
  }
  const size_t max_rows = largest_step(cases, chunk_tokens);
  const size_t window = config().sliding_window;
  const size_t n_pages = n_sequences * pages_per_sequence(n_positions, window, chunk_tokens);
  MIXTRAL_TRY(pool_, KvPool::create(model_->kv_layout(), n_pages));
  for (size_t s = 0; s < n_sequences; ++s) caches_.emplace_back(*pool_, n_positions, window);
  arena_ = Arena(model_->arena_bytes(max_rows, max_rows));
  ids_.reserve(max_rows);
  return {};
}

// The cache as it is after `depth` positions. Pages that were just handed out become real memory.
void BenchModel::fill_to(KvSequence& kv, size_t depth) {
  kv.clear();
  while (kv.n_tokens() < depth) {
    const size_t first_page = kv.n_tokens() / kPageTokens;
    MIXTRAL_CHECK(kv.extend(std::min(chunk_tokens_, depth - kv.n_tokens())), "too few pages");
    const KvView view = kv.view();
    const size_t end_page = pages_of(kv.n_tokens());
    for (size_t page = first_page; page < end_page; ++page) {
      if (view.pages[page] != nullptr) {
        std::memset(view.pages[page], kFilling, view.layout.page_bytes());
      }
    }
  }
}

// One step in which sequence first_sequence + i adds rows_of_sequences[i] random tokens.
Status BenchModel::step(size_t first_sequence, const std::vector<size_t>& rows_of_sequences,
                        StepTrace* trace) {
  ids_.clear();
  sequences_.clear();
  logit_rows_.clear();
  for (size_t i = 0; i < rows_of_sequences.size(); ++i) {
    KvSequence& kv = caches_[first_sequence + i];
    const size_t n_rows = rows_of_sequences[i], position = kv.n_tokens();
    MIXTRAL_CHECK(kv.extend(n_rows), "too few pages");
    sequences_.push_back({ids_.size(), n_rows, position, kv.view()});
    for (size_t row = 0; row < n_rows; ++row) {
      ids_.push_back(static_cast<int32_t>(random_.below(config().vocab_size)));
    }
    logit_rows_.push_back(static_cast<int32_t>(ids_.size() - 1));
  }
  const auto logits = model_->forward(arena_, {ids_, sequences_, logit_rows_}, trace);
  return logits ? Status() : tl::unexpected(logits.error());
}

Result<BenchRun> BenchModel::run(const BenchCase& test, const MachineLimits& limits, bool counts) {
  random_ = Rng(test.n_rows() + test.depth);
  for (size_t s = 0; s < test.n_sequences(); ++s) fill_to(caches_[s], test.depth);
  std::vector<std::vector<size_t>> steps;
  switch (test.test) {
    case BenchTest::kPrefill:
      for (size_t done = 0; done < test.n_tokens; done += chunk_tokens_) {
        steps.push_back({std::min(chunk_tokens_, test.n_tokens - done)});
      }
      break;
    case BenchTest::kDecode: steps.assign(test.n_tokens, std::vector<size_t>(test.batch, 1)); break;
    case BenchTest::kMixed:
      steps.emplace_back(test.batch + 1, 1);
      steps.back()[0] = std::min(chunk_tokens_, test.n_tokens);
      break;
  }
  BenchRun run;
  const auto start = Clock::now();
  for (const std::vector<size_t>& rows : steps) {
    if (!counts) {
      MIXTRAL_TRY(step(0, rows, nullptr));
      continue;
    }
    ExpertsUsed experts(config(), logit_rows_);
    MIXTRAL_TRY(step(0, rows, &experts));
    const BenchWork work = count_step(experts.used, limits);
    run.work.bytes += work.bytes;
    run.work.operations += work.operations;
    run.work.multiplying_seconds += work.multiplying_seconds;
  }
  run.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return run;
}

// Of a stack of matrices `share` are read; n_rows rows of activations meet one each.
void BenchModel::count_weight(WeightId id, size_t n_rows, double share, const MachineLimits& limits,
                              BenchWork& work) const {
  const Weight& weight = model_->weight(id);
  const uint64_t operations = uint64_t{2} * n_rows * weight.rows() * weight.cols();
  work.bytes += static_cast<uint64_t>(static_cast<double>(weight.bytes()) * share);
  work.operations += operations;
  work.multiplying_seconds +=
      static_cast<double>(operations) / (limits.peak_gops(weight.type()) * 1e9);
}

// Of the step that ids_, sequences_ and logit_rows_ describe.
BenchWork BenchModel::count_step(const std::vector<std::vector<bool>>& experts_used,
                                 const MachineLimits& limits) const {
  BenchWork work;
  const ModelConfig& c = config();
  const size_t n_rows = ids_.size();
  for (size_t layer = 0; layer < c.n_layers; ++layer) {
    for (const Role role : {Role::kWq, Role::kWk, Role::kWv, Role::kWo}) {
      count_weight({role, layer}, n_rows, 1, limits, work);
    }
    if (c.has_router()) count_weight({Role::kRouter, layer}, n_rows, 1, limits, work);
    const auto n_used = std::count(experts_used[layer].begin(), experts_used[layer].end(), true);
    const double share = static_cast<double>(n_used) / static_cast<double>(c.n_experts);
    const size_t n_asking = layer + 1 < c.n_layers ? n_rows : logit_rows_.size();
    for (const Role role : {Role::kWGate, Role::kWUp, Role::kWDown}) {
      count_weight({role, layer}, n_asking * c.n_experts_per_token, share, limits, work);
    }
  }
  count_weight({c.tied_embeddings ? Role::kTokenEmbedding : Role::kOutput}, logit_rows_.size(), 1,
               limits, work);
  const KvLayout layout = model_->kv_layout();
  for (const SequenceRows& sequence : sequences_) {
    uint64_t seen_by_all = 0, seen = 0;  // pairs of a row and a position; positions
    for (size_t row = 0; row < sequence.n_rows; ++row) {
      const size_t end = sequence.first_position + row + 1;
      seen = c.sliding_window == 0 ? end : std::min(end, c.sliding_window);
      seen_by_all += seen;
    }
    const uint64_t operations =
        uint64_t{4} * seen_by_all * c.n_layers * c.n_heads * c.head_dim;  // q k and weights v
    work.operations += operations;
    work.multiplying_seconds += static_cast<double>(operations) / (limits.peak_f32_gflops * 1e9);
    work.bytes += seen * layout.page_bytes() / kPageTokens;
  }
  return work;
}

}  // namespace mixtral
