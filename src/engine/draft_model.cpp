#include "engine/draft_model.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "core/checked.h"

namespace mixtral {
namespace {

constexpr size_t kChunkTokens = 128;
constexpr double kTimeWeight = 0.1;

using Clock = std::chrono::steady_clock;

void follow(double& mean, double value) {
  mean = mean == 0 ? value : mean + kTimeWeight * (value - mean);
}

}  // namespace

/// Of one sequence.
class ModelDrafter final : public Drafter {
 public:
  explicit ModelDrafter(DraftModel& model)
      : model_(model),
        kv_(model.pool_, model.context_len_, model.model_->config().sliding_window) {}

  DraftOffer look(std::span<const int32_t> ids, size_t max_tokens) override {
    const auto [end, ignored] = std::mismatch(read_.begin(), read_.end(), ids.begin(), ids.end());
    const auto n_common = static_cast<size_t>(end - read_.begin());
    read_.resize(kv_.truncate(std::min(n_common, ids.size() - 1)));
    const auto n_missed = static_cast<double>(ids.size() - 1 - read_.size());
    // A guess that is not known to take time would count as free.
    return {max_tokens, 0, n_missed * model_.seconds_per_row_,
            std::max(model_.seconds_per_token_, 1e-9)};
  }

  // What was missed is read a chunk at a time, so that nobody waits long for its next token.
  void draft(std::span<const int32_t> ids, size_t n_tokens, std::vector<int32_t>& tokens) override {
    tokens.clear();
    const auto missed = ids.subspan(read_.size());
    int32_t token = read(missed.first(std::min(missed.size(), kChunkTokens)));
    if (read_.size() < ids.size()) return;
    while (token >= 0) {
      tokens.push_back(token);
      if (tokens.size() == n_tokens) return;
      token = read({&tokens.back(), 1});
    }
  }

 private:
  int32_t read(std::span<const int32_t> ids) {
    const int32_t token = model_.read(kv_, ids);
    if (token >= 0) read_.insert(read_.end(), ids.begin(), ids.end());
    return token;
  }

  DraftModel& model_;
  KvSequence kv_;
  std::vector<int32_t> read_;  // what kv_ holds
};

DraftModel::DraftModel(std::unique_ptr<Transformer> model, size_t context_len, KvPool pool)
    : model_(std::move(model)),
      context_len_(context_len),
      pool_(std::move(pool)),
      arena_(model_->arena_bytes(kChunkTokens, 1)),
      logits_(model_->config().vocab_size) {}

Result<std::unique_ptr<DraftModel>> DraftModel::create(std::unique_ptr<Transformer> model,
                                                       size_t context_len, size_t n_pages) {
  MIXTRAL_TRY(KvPool pool, KvPool::create(model->kv_layout(), n_pages));
  return std::unique_ptr<DraftModel>(
      new DraftModel(std::move(model), context_len, std::move(pool)));
}

std::unique_ptr<Drafter> DraftModel::make_drafter() {
  return std::make_unique<ModelDrafter>(*this);
}

uint64_t DraftModel::memory_bytes(const ModelConfig& config, const Backend& backend,
                                  size_t n_pages) {
  const KvLayout layout = {backend.kv_type(), config.n_layers, config.n_kv_heads, config.head_dim};
  const CheckedSize pages = CheckedSize(n_pages) * CheckedSize(layout.page_bytes());
  if (!pages.value()) return std::numeric_limits<uint64_t>::max() / 2;  // more than any limit
  return *pages.value() + step_arena_bytes(config, backend, kChunkTokens, 1) +
         config.vocab_size * sizeof(float);
}

// A step that fails, fails to guess: the large model's own step will say what is wrong.
int32_t DraftModel::read(KvSequence& kv, std::span<const int32_t> ids) {
  const size_t position = kv.n_tokens();
  if (ids.size() > context_len_ - position || !kv.extend(ids.size())) return -1;
  const auto start = Clock::now();
  const SequenceRows rows = {0, ids.size(), position, kv.view()};
  const auto last_row = static_cast<int32_t>(ids.size() - 1);
  const auto found = model_->forward(arena_, {ids, {&rows, 1}, {&last_row, 1}});
  if (!found) {
    kv.truncate(position);
    return -1;
  }
  model_->backend().download(*found, TensorView<float>(logits_.data(), 1, logits_.size()));
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const auto n_rows = static_cast<double>(ids.size());
  follow(ids.size() == 1 ? seconds_per_token_ : seconds_per_row_, seconds / n_rows);
  return static_cast<int32_t>(std::max_element(logits_.begin(), logits_.end()) - logits_.begin());
}

}  // namespace mixtral
