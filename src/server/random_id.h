// Ids that nobody can guess.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace mixtral {

/// `prefix` and `n` random letters and digits, from the system's source of randomness.
std::string random_id(std::string_view prefix, size_t n = 24);
uint64_t random_seed();

}  // namespace mixtral
