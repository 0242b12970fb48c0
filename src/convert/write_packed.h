// Packed models: the weights as the CPU backend computes with them (io/packed.h).
#pragma once

#include <string>

#include "convert/model_source.h"
#include "convert/write_model.h"
#include "core/progress.h"

namespace mixtral {

/// write_model() for packed models. Every matrix keeps its type and its bits.
Result<WriteReport> write_packed(const ModelSource& model, const std::string& path,
                                 const WriteOptions& options, Progress* progress);

}  // namespace mixtral
