#include "eval/base_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/checked.h"
#include "eval/log_probs.h"

namespace mixtral {
namespace {

constexpr std::string_view kMagic = "_logits_";
constexpr float kDeepest = 16;  // log-probabilities further below the largest are cut
constexpr float kLargestCode = 65535;

struct RowHeader {
  float scale, smallest;
};

size_t row_bytes(size_t vocab_size) {
  return sizeof(RowHeader) + (vocab_size + 1) / 2 * 2 * sizeof(uint16_t);
}

struct FileHeader {
  char magic[8];
  int32_t window_tokens, vocab_size, n_windows;
};
static_assert(sizeof(FileHeader) == 20);

}  // namespace

BaseFileWriter::BaseFileWriter(OutputFile file, size_t vocab_size)
    : file_(std::move(file)), row_(row_bytes(vocab_size)) {}

Result<BaseFileWriter> BaseFileWriter::create(const std::string& path, const Windows& windows,
                                              size_t vocab_size) {
  MIXTRAL_TRY(OutputFile file, OutputFile::create(path));
  BaseFileWriter writer(std::move(file), vocab_size);
  const size_t ids_bytes = windows.size() * windows.n_tokens() * sizeof(int32_t);
  const size_t n_rows = windows.size() * windows.n_scored();
  MIXTRAL_TRY(check_disk_space(path, sizeof(FileHeader) + ids_bytes + n_rows * writer.row_.size()));
  FileHeader header{};
  std::memcpy(header.magic, kMagic.data(), kMagic.size());
  header.window_tokens = static_cast<int32_t>(windows.n_tokens());
  header.vocab_size = static_cast<int32_t>(vocab_size);
  header.n_windows = static_cast<int32_t>(windows.size());
  MIXTRAL_TRY(writer.file_.write(std::as_bytes(std::span(&header, 1))));
  for (size_t window = 0; window < windows.size(); ++window)
    MIXTRAL_TRY(writer.file_.write(std::as_bytes(windows.text(window))));
  return writer;
}

Status BaseFileWriter::write(std::span<const float> logits) {
  const auto [least, most] = std::minmax_element(logits.begin(), logits.end());
  const float smallest = std::max(*least, *most - kDeepest);
  const RowHeader header = {(*most - smallest) / kLargestCode,
                            static_cast<float>(double{smallest} - log_sum_exp(logits))};
  std::memcpy(row_.data(), &header, sizeof header);
  for (size_t i = 0; i < logits.size(); ++i) {
    const bool counts = header.scale > 0 && logits[i] > smallest;
    const auto code =
        static_cast<uint16_t>(counts ? std::lround((logits[i] - smallest) / header.scale) : 0);
    std::memcpy(row_.data() + sizeof header + i * sizeof code, &code, sizeof code);
  }
  return file_.write(row_);
}

Result<BaseFile> BaseFile::open(const std::string& path) {
  BaseFile base;
  MIXTRAL_TRY(base.file_, InputFile::open(path));
  const auto refuse = [&](std::string_view what) {
    return fail(ErrorCode::kBadInput, "{}: not a file of log-probabilities: {}", path, what);
  };
  FileHeader header{};
  if (base.file_->size() < sizeof header) return refuse("too short");
  MIXTRAL_TRY(base.file_->read_at(0, std::as_writable_bytes(std::span(&header, 1))));
  if (std::string_view(header.magic, sizeof header.magic) != kMagic)
    return refuse("it does not begin with _logits_");
  if (header.window_tokens < 4 || header.n_windows < 1 || header.vocab_size < 1) {
    return refuse(fmt::format("{} windows of {} tokens of a vocabulary of {}", header.n_windows,
                              header.window_tokens, header.vocab_size));
  }
  base.window_tokens_ = static_cast<size_t>(header.window_tokens);
  base.vocab_size_ = static_cast<size_t>(header.vocab_size);
  const auto n_windows = static_cast<size_t>(header.n_windows);
  const size_t n_scored = base.window_tokens_ - 1 - base.window_tokens_ / 2;
  const CheckedSize n_ids = CheckedSize(n_windows) * CheckedSize(base.window_tokens_);
  const CheckedSize rows_offset = CheckedSize(sizeof header) + n_ids * CheckedSize(sizeof(int32_t));
  const CheckedSize expected = rows_offset + CheckedSize(n_windows) * CheckedSize(n_scored) *
                                                 CheckedSize(row_bytes(base.vocab_size_));
  if (expected.value() != base.file_->size()) {
    return refuse(fmt::format("{} bytes, expected {}", base.file_->size(),
                              expected.value().value_or(std::numeric_limits<uint64_t>::max())));
  }
  base.rows_offset_ = *rows_offset.value();
  base.ids_.resize(*n_ids.value());
  MIXTRAL_TRY(base.file_->read_at(sizeof header, std::as_writable_bytes(std::span(base.ids_))));
  base.row_.resize(row_bytes(base.vocab_size_));
  base.log_probs_.resize(base.vocab_size_);
  return base;
}

Result<std::span<const float>> BaseFile::log_probs(size_t scored_token) {
  MIXTRAL_TRY(file_->read_at(rows_offset_ + scored_token * row_.size(), row_));
  RowHeader header{};
  std::memcpy(&header, row_.data(), sizeof header);
  if (!std::isfinite(header.scale) || !std::isfinite(header.smallest)) {
    return fail(ErrorCode::kBadInput, "{}: scored token {}: scale {} and smallest {}",
                file_->path(), scored_token, header.scale, header.smallest);
  }
  for (size_t i = 0; i < vocab_size_; ++i) {
    uint16_t code = 0;
    std::memcpy(&code, row_.data() + sizeof header + i * sizeof code, sizeof code);
    log_probs_[i] = header.scale * static_cast<float>(code) + header.smallest;
  }
  return std::span<const float>(log_probs_);
}

}  // namespace mixtral
