// Collects an importance matrix: reads a text and adds up the squares of every input of every
// matrix of the layers.
#pragma once

#include "core/progress.h"
#include "core/result.h"
#include "engine/engine.h"
#include "eval/windows.h"
#include "io/imatrix.h"

namespace mixtral {

/// Sums over all tokens of `windows`, experts' over those that were routed to them. The head and
/// the embeddings are left out, as llama-imatrix does. Sums have the same bits for any number of
/// threads. `datasets` of the result is empty.
Result<ImportanceMatrix> collect_importance(Engine& engine, const Windows& windows,
                                            Progress* progress);

}  // namespace mixtral
