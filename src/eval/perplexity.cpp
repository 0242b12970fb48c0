#include "eval/perplexity.h"

#include <numbers>

#include "core/progress_task.h"

namespace mixtral {

Status score_windows(Engine& engine, const Windows& windows,
                     FunctionRef<Status(const ScoredToken&)> on_token, Progress* progress) {
  ProgressTask scored(progress, "scoring", windows.size() * windows.n_tokens(), "tokens");
  for (size_t window = 0; window < windows.size(); ++window) {
    // What comes after a window's last token is not asked.
    const std::vector<int32_t> inputs = windows.inputs(window);
    const auto text = windows.text(window);
    MIXTRAL_TRY(engine.score(
        std::span(inputs).first(inputs.size() - 1),
        [&](size_t position, std::span<const float> logits) {
          return on_token({window, position + 1, text[position + 1], logits});
        },
        nullptr, windows.first_scored() - 1));
    scored.add(windows.n_tokens());
  }
  return {};
}

double Perplexity::add(const ScoredToken& token, size_t n_bytes) {
  const double logit = static_cast<double>(token.logits[static_cast<size_t>(token.id)]);
  const double nll = log_sum_exp(token.logits) - logit;
  nll_.add(nll);
  n_bytes_ += n_bytes;
  return nll;
}

Estimate Perplexity::perplexity() const {
  const Estimate mean = nll();
  const double value = std::exp(mean.value);
  return {value, value * mean.error};
}

double Perplexity::bits_per_byte() const {
  return n_bytes_ == 0 ? 0 : nll_.sum() / std::numbers::ln2 / static_cast<double>(n_bytes_);
}

}  // namespace mixtral
