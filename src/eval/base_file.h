// What a base model said about a text, kept in a file to compare other models with. The format is
// that of llama.cpp (llama-perplexity --save-all-logits): both programs read each other's files.
//
//   "_logits_", int32 window length C, int32 vocabulary V, int32 windows, int32 ids[windows][C]
//   per window and scored token (those after the first half): float scale, float smallest,
//   uint16 code[V rounded up to an even number]
//   log-probability of token i = scale * code[i] + smallest, at most 16 below the largest
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"
#include "eval/windows.h"
#include "io/file.h"

namespace mixtral {

class BaseFileWriter {
 public:
  /// `windows` must be without a stride.
  static Result<BaseFileWriter> create(const std::string& path, const Windows& windows,
                                       size_t vocab_size);
  /// The logits before each scored token, in order.
  Status write(std::span<const float> logits);
  /// The file appears under its name.
  Status finish() { return file_.commit(); }

 private:
  BaseFileWriter(OutputFile file, size_t vocab_size);
  OutputFile file_;
  std::vector<std::byte> row_;
};

/// An opened file of a base model.
class BaseFile {
 public:
  /// Fails with kBadInput, naming what was found and expected, unless header and size fit.
  static Result<BaseFile> open(const std::string& path);

  size_t window_tokens() const { return window_tokens_; }
  size_t vocab_size() const { return vocab_size_; }
  /// The text's tokens, all windows in a row.
  const std::vector<int32_t>& ids() const { return ids_; }

  /// Log-probabilities for a scored token, counted over all windows; valid until the next call.
  Result<std::span<const float>> log_probs(size_t scored_token);

 private:
  BaseFile() = default;
  std::shared_ptr<const InputFile> file_;
  size_t window_tokens_ = 0, vocab_size_ = 0;
  std::vector<int32_t> ids_;
  uint64_t rows_offset_ = 0;
  std::vector<std::byte> row_;
  std::vector<float> log_probs_;
};

}  // namespace mixtral
