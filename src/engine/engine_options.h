// How an engine is set up, and the memory that this will take.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"
#include "engine/scheduler.h"
#include "model/adapter_file.h"
#include "model/checkpoint.h"
#include "ops/backend.h"

namespace mixtral {

/// A low-rank adapter to load beside the model.
struct AdapterOption {
  std::string name;  ///< what requests call it; not empty
  std::string path;  ///< as AdapterFile::open() takes it
};

/// Where guesses come from that a step checks while it is at it; see docs/adr/0010-speculation.md.
enum class Speculation {
  kNone,
  kNgram,  ///< what the sequence itself says elsewhere
  kDraft,  ///< a smaller model
};

struct EngineOptions {
  /// Positions; 0: the model's own. More than that is allowed: whether answers stay good is the
  /// caller's risk.
  size_t context_len = 0;
  size_t max_sequences = 64;  ///< answers in progress at once, at least 1
  size_t max_waiting = 32;    ///< answers accepted beyond those
  size_t chunk_tokens = 256;  ///< rows of a step in which prompts are read, at least 1
  /// Of these, rows of prompts while others stream: with more, prompts are read sooner, and the
  /// others wait longer for each token. So many times more as there are more prompts than streams.
  size_t shared_chunk_tokens = 32;
  /// For keys and values; 0: of max_sequences, at most 16, of 2048 positions each, but at least one
  /// of the whole context, and no more than memory_limit_bytes leaves.
  uint64_t kv_bytes = 0;
  /// 0: not checked; else load() refuses a model that will not fit.
  uint64_t memory_limit_bytes = 0;
  std::vector<AdapterOption> adapters;  ///< each name once
  std::string default_adapter;          ///< of requests that name none; empty: the model as it is
  /// Answers are the same with and without; guesses are made only while they pay.
  Speculation speculation = Speculation::kNone;
  std::string draft_path;  ///< the smaller model's checkpoint, for kDraft
};

/// What a model will take, before any of it is loaded. In bytes.
struct MemoryPlan {
  uint64_t weights = 0, adapters = 0, kv_cache = 0, scratch = 0;
  uint64_t draft = 0;  ///< all of the draft model
  size_t n_pages = 0;  ///< of kv_cache
  /// The largest uint64_t if the sum overflows.
  uint64_t total() const;
};

/// Positions that an engine with these options holds for one sequence.
size_t context_of(const ModelConfig& config, const EngineOptions& options);
/// Pages of max_sequence_pages and one more are what a pool must have for any sequence to get on.
SchedulerLimits scheduler_limits(const ModelConfig& config, const EngineOptions& options);
/// Rows of logits of a step at most.
size_t max_logit_rows(const SchedulerLimits& limits);

/// `adapters` are the opened options.adapters; `draft` the checkpoint at draft_path, if speculation
/// is kDraft.
MemoryPlan plan_memory(const Checkpoint& checkpoint, const Backend& backend,
                       const EngineOptions& options, std::span<const AdapterFile> adapters = {},
                       const Checkpoint* draft = nullptr);
/// The largest rank; 0 without any.
size_t largest_rank(std::span<const AdapterFile> adapters);
/// Fails with kTooLarge and advice if the plan exceeds the limit, or has no pages for one context.
Status check_plan(const MemoryPlan& plan, const Checkpoint& checkpoint,
                  const EngineOptions& options);

}  // namespace mixtral
