#include "eval/windows.h"

#include <algorithm>

#include "core/check.h"

namespace mixtral {
namespace {

size_t window_tokens(const WindowOptions& options) {
  if (options.stride == 0) return options.context;
  constexpr size_t kUnit = 256;  // of llama.cpp's contexts
  return (options.context + options.stride / 2 + kUnit - 1) / kUnit * kUnit;
}

}  // namespace

Result<Windows> Windows::cut(std::vector<int32_t> ids, const WindowOptions& options) {
  MIXTRAL_CHECK(options.context >= 4, "a window needs tokens to read and tokens to score");
  MIXTRAL_CHECK(options.stride < options.context, "strides must not leave out tokens");
  Windows windows;
  windows.n_tokens_ = window_tokens(options);
  if (ids.size() < 2 * windows.n_tokens_) {
    return fail(ErrorCode::kBadInput,
                "the text has {} tokens, expected at least {} for windows of {}", ids.size(),
                2 * windows.n_tokens_, windows.n_tokens_);
  }
  if (options.stride == 0) {
    windows.step_ = windows.n_tokens_;
    windows.first_scored_ = windows.n_tokens_ / 2 + 1;
    windows.n_windows_ = ids.size() / windows.n_tokens_;
    windows.bos_id_ = options.bos_id;
  } else {
    windows.step_ = options.stride;
    windows.first_scored_ = windows.n_tokens_ - options.stride;
    windows.n_windows_ = (ids.size() - windows.n_tokens_ + options.stride - 1) / options.stride;
  }
  if (options.max_windows != 0)
    windows.n_windows_ = std::min(windows.n_windows_, options.max_windows);
  windows.ids_ = std::move(ids);
  return windows;
}

std::vector<int32_t> Windows::inputs(size_t window) const {
  const auto own = text(window);
  std::vector<int32_t> ids(own.begin(), own.end());
  if (bos_id_) ids.front() = *bos_id_;
  return ids;
}

}  // namespace mixtral
