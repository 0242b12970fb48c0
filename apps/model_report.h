// Everything `mixtral info` tells, for people and for programs.
#pragma once

#include <map>
#include <string>

#include "core/result.h"
#include "engine/engine.h"
#include "io/json.h"
#include "kernel_list.h"
#include "model/checkpoint.h"
#include "text/tokenizer.h"

namespace mixtral {

class ModelReport {
 public:
  /// `checkpoint` and `tokenizer` (which may be null) must outlive the report. Reads a few rows of
  /// some weights, to ask the backend which kernel it would use.
  static Result<ModelReport> create(const Checkpoint& checkpoint, const Tokenizer* tokenizer,
                                    Backend& backend, const EngineOptions& options);

  /// With `tensors`, every tensor too.
  std::string text(bool tensors) const;
  Json json(bool tensors) const;

 private:
  struct TypeTotal {
    size_t n_tensors = 0;
    uint64_t n_bytes = 0;
  };
  ModelReport(const Checkpoint& checkpoint, const Tokenizer* tokenizer)
      : checkpoint_(&checkpoint), tokenizer_(tokenizer) {}
  Status ask_for_kernels(Backend& backend);
  std::string model_text() const;
  std::string memory_text() const;

  const Checkpoint* checkpoint_;
  const Tokenizer* tokenizer_;
  std::map<Type, TypeTotal> types_;
  KernelList kernels_;
  std::string backend_;
  MemoryPlan plan_;
  size_t context_len_ = 0;
  uint64_t available_bytes_ = 0;
};

}  // namespace mixtral
