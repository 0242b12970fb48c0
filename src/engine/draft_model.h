// A small model that guesses for a large one with the same vocabulary.
#pragma once

#include <memory>
#include <vector>

#include "core/arena.h"
#include "engine/drafter.h"
#include "engine/kv_sequence.h"
#include "model/transformer.h"

namespace mixtral {

/// Has keys and values of its own for every sequence; a sequence for which its memory does not
/// suffice goes without guesses. Only the engine's thread uses it.
class DraftModel {
 public:
  /// `context_len` positions of each sequence, `n_pages` of all.
  static Result<std::unique_ptr<DraftModel>> create(std::unique_ptr<Transformer> model,
                                                    size_t context_len, size_t n_pages);
  /// This must outlive it.
  std::unique_ptr<Drafter> make_drafter();

  /// Memory for `n_pages` and for steps, in bytes.
  static uint64_t memory_bytes(const ModelConfig& config, const Backend& backend, size_t n_pages);

 private:
  friend class ModelDrafter;
  DraftModel(std::unique_ptr<Transformer> model, size_t context_len, KvPool pool);
  /// The most probable token after `ids`, which are appended to `kv`; -1 if there is no room.
  int32_t read(KvSequence& kv, std::span<const int32_t> ids);

  std::unique_ptr<Transformer> model_;
  const size_t context_len_;
  KvPool pool_;
  Arena arena_;
  std::vector<float> logits_;
  double seconds_per_row_ = 0, seconds_per_token_ = 0;  // reading many; reading one
};

}  // namespace mixtral
