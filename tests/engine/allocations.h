// How often this program asked for memory with new: replaced operators count it.
#pragma once

#include <cstddef>

namespace mixtral::testing {

/// Of all threads since the start.
size_t n_allocations();

}  // namespace mixtral::testing
