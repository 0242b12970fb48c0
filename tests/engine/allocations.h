// How often this program asked for memory with new: replaced operators count it.
#pragma once

#include <cstddef>
#include <optional>

namespace mixtral::testing {

/// Of all threads since the start. nullopt under ThreadSanitizer, whose own operators cannot be
/// replaced.
std::optional<size_t> n_allocations();

}  // namespace mixtral::testing
