#include "convert/compare_models.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/arena.h"
#include "model/transformer.h"

namespace mixtral {
namespace {

constexpr size_t kChunkTokens = 64;

/// Pages for one sequence of known length.
class Pages {
 public:
  Pages(const KvLayout& layout, size_t n_tokens)
      : layout_(layout),
        pages_((n_tokens + kPageTokens - 1) / kPageTokens),
        memory_(pages_.size() * layout.page_bytes()) {
    for (size_t i = 0; i < pages_.size(); ++i) pages_[i] = memory_.data() + i * layout.page_bytes();
  }
  bool empty() const { return memory_.data() == nullptr; }
  KvView view() const { return {layout_, pages_}; }

 private:
  KvLayout layout_;
  std::vector<std::byte*> pages_;
  AlignedBuffer memory_;
};

using OnLogits = FunctionRef<void(size_t position, std::span<const float> logits)>;

Status run_chunk(const Transformer& model, Arena& arena, const KvView& kv,
                 std::span<const int32_t> ids, size_t first_position, OnLogits on_logits) {
  std::vector<int32_t> rows(ids.size());
  for (size_t row = 0; row < rows.size(); ++row) rows[row] = static_cast<int32_t>(row);
  const SequenceRows sequence = {0, ids.size(), first_position, kv};
  MIXTRAL_TRY(const auto logits, model.forward(arena, {ids, {&sequence, 1}, rows}));
  std::vector<float> host(logits.rows() * logits.cols());
  const TensorView<float> downloaded(host.data(), logits.rows(), logits.cols());
  model.backend().download(logits, downloaded);
  MIXTRAL_TRY(model.backend().finish_step());
  for (size_t row = 0; row < ids.size(); ++row)
    on_logits(first_position + row, downloaded.row_span(row));
  return {};
}

Status score(const Checkpoint& checkpoint, std::span<const int32_t> ids, Backend& backend,
             Progress* progress, OnLogits on_logits) {
  MIXTRAL_TRY(const auto model, Transformer::load(checkpoint, backend, progress));
  const size_t chunk = std::min(kChunkTokens, ids.size());
  const Pages pages(model->kv_layout(), ids.size());
  Arena arena(model->arena_bytes(chunk, chunk));
  if (pages.empty() || arena.capacity() == 0)
    return fail(ErrorCode::kTooLarge, "{}: not enough memory to run {} tokens", checkpoint.path(),
                ids.size());
  for (size_t begin = 0; begin < ids.size(); begin += chunk) {
    const auto part = ids.subspan(begin, std::min(chunk, ids.size() - begin));
    MIXTRAL_TRY(run_chunk(*model, arena, pages.view(), part, begin, on_logits));
  }
  return {};
}

Status check(const Checkpoint& first, const Checkpoint& second, std::span<const int32_t> ids) {
  const size_t vocab_size = first.config().vocab_size;
  if (vocab_size != second.config().vocab_size)
    return fail(ErrorCode::kBadInput, "{} has {} tokens and {} has {}, expected the same",
                first.path(), vocab_size, second.path(), second.config().vocab_size);
  if (ids.empty()) return fail(ErrorCode::kBadInput, "no tokens to compare the models over");
  for (const int32_t id : ids)
    if (id < 0 || static_cast<size_t>(id) >= vocab_size)
      return fail(ErrorCode::kBadInput, "{}: token id {}, expected 0 to {}", first.path(), id,
                  vocab_size - 1);
  return {};
}

size_t best_of(std::span<const float> logits) {
  return static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace

Result<ModelComparison> compare_models(const Checkpoint& first, const Checkpoint& second,
                                       std::span<const int32_t> ids,
                                       FunctionRef<Result<std::unique_ptr<Backend>>()> make_backend,
                                       Progress* progress) {
  MIXTRAL_TRY(check(first, second, ids));
  const size_t vocab_size = first.config().vocab_size;
  std::vector<float> expected(ids.size() * vocab_size);
  const auto row_of = [&](size_t position) {
    return std::span(expected).subspan(position * vocab_size, vocab_size);
  };
  const auto keep = [&](size_t position, std::span<const float> logits) {
    std::copy(logits.begin(), logits.end(), row_of(position).begin());
  };
  {
    MIXTRAL_TRY(const auto backend, make_backend());
    MIXTRAL_TRY(score(first, ids, *backend, progress, keep));
  }
  ModelComparison comparison;
  const auto compare = [&](size_t position, std::span<const float> logits) {
    const std::span<const float> other = row_of(position);
    ++comparison.n_positions;
    if (best_of(logits) == best_of(other)) ++comparison.n_same_best;
    for (size_t i = 0; i < vocab_size; ++i) {
      comparison.largest_logit = std::max(comparison.largest_logit, std::abs(other[i]));
      comparison.largest_difference =
          std::max(comparison.largest_difference, std::abs(logits[i] - other[i]));
    }
  };
  MIXTRAL_TRY(const auto backend, make_backend());
  MIXTRAL_TRY(score(second, ids, *backend, progress, compare));
  return comparison;
}

}  // namespace mixtral
