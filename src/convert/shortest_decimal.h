// A float as people write it: 1e-5f is 1e-5, not 9.999999747378752e-06.
#pragma once

namespace mixtral {

/// The double of the shortest decimal number that reads back as `value`.
double shortest_decimal(float value);

}  // namespace mixtral
