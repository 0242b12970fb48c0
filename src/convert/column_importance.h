// From the sums of an importance matrix to what pack() wants: how much each column matters.
#pragma once

#include <string>
#include <vector>

#include "convert/model_source.h"
#include "io/imatrix.h"

namespace mixtral {

/// Rows that an expert must have seen for its sums to say more than the other experts' do: the mean
/// of 32 squares is off by a quarter.
inline constexpr float kFewestRows = 32;

/// Fails with kBadInput, naming file and tensor, if a tensor of `matrix` is not one of `model`'s or
/// has another shape.
Status check_importance(const ImportanceMatrix& matrix, const ModelSource& model);

/// Mean squares of the inputs, [n_matrices, cols], of the tensor `name`; empty if they are not
/// known. An expert that saw too few rows takes the mean of those that saw enough; `warnings` says
/// so.
std::vector<float> column_importance(const ImportanceMatrix& matrix, const std::string& name,
                                     std::vector<std::string>& warnings);

}  // namespace mixtral
