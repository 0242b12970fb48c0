// How a long text is cut for a model: into windows of one length, each read from an empty cache.
// The cuts are those of llama.cpp's llama-perplexity, so that figures can be compared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/result.h"

namespace mixtral {

struct WindowOptions {
  size_t context = 512;  ///< tokens of a window, at least 4
  /// 0: windows stand side by side, and the second half of each is scored. Else they begin `stride`
  /// tokens apart, less than `context`, the last `stride` tokens of each are scored, and each is
  /// half a stride longer than `context`, rounded up to whole 256: so llama-perplexity has it.
  size_t stride = 0;
  size_t max_windows = 0;  ///< 0: all that the text has
  /// What stands in the place of each window's first token; not where there is a stride.
  std::optional<int32_t> bos_id = std::nullopt;
};

/// The windows of one text. All have the same length; a rest that fills none is left out.
class Windows {
 public:
  /// Fails with kBadInput if the text is shorter than two windows.
  static Result<Windows> cut(std::vector<int32_t> ids, const WindowOptions& options);

  size_t size() const { return n_windows_; }
  size_t n_tokens() const { return n_tokens_; }                  ///< of each window
  size_t first_scored() const { return first_scored_; }          ///< position in the window
  size_t n_scored() const { return n_tokens_ - first_scored_; }  ///< tokens of each window

  /// The text's own tokens of one window.
  std::span<const int32_t> text(size_t window) const {
    return std::span(ids_).subspan(window * step_, n_tokens_);
  }
  /// What the model reads: the same, with BOS in the first place where the options have it.
  std::vector<int32_t> inputs(size_t window) const;

 private:
  std::vector<int32_t> ids_;
  size_t n_windows_ = 0, n_tokens_ = 0, step_ = 0, first_scored_ = 0;
  std::optional<int32_t> bos_id_;
};

}  // namespace mixtral
