// What each checkpoint format calls a weight: the only place where their vocabularies appear.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "io/checkpoint_kind.h"
#include "model/checkpoint.h"

namespace mixtral {

/// How the matrices of a weight lie in the file's tensors.
enum class TensorLayout {
  kWhole,      ///< one tensor [rows, cols], or a vector
  kPerExpert,  ///< one tensor per expert
  kStacked,    ///< one tensor [E, rows, cols]
  kFusedGate,  ///< the first half of the rows of [E, 2 * rows, cols]
  kFusedUp,    ///< the second half of them
};

struct TensorName {
  std::string_view pattern;  ///< {0} is the layer, {1} the expert
  TensorLayout layout;
};

/// The names that a weight may have in such a checkpoint, to be tried in order.
std::span<const TensorName> tensor_names(CheckpointKind kind, Role role);

/// The name of a tensor in a new checkpoint: experts in the format's first, current layout, which
/// for dense models is that of one whole matrix.
std::string new_tensor_name(CheckpointKind kind, WeightId id, size_t expert, bool has_router);

/// True if the rows of wq and wk lie in half order, (i, i + head_dim / 2) being a rotary pair, and
/// not in interleaved order, (2i, 2i + 1).
bool has_half_rotary_order(CheckpointKind kind);

/// Where row `row` of interleaved order lies in half order.
size_t half_order_row(size_t row, size_t head_dim);

}  // namespace mixtral
