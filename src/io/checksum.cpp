#include "io/checksum.h"

#include <xxhash.h>

#include "core/check.h"

namespace mixtral {

Checksum::Checksum() : state_(XXH3_createState()) {
  MIXTRAL_CHECK(state_ != nullptr, "no memory for half a kilobyte");
  XXH3_64bits_reset(state_.get());
}

void Checksum::Free::operator()(XXH3_state_s* state) const { XXH3_freeState(state); }

void Checksum::add(std::span<const std::byte> bytes) {
  XXH3_64bits_update(state_.get(), bytes.data(), bytes.size());
}

uint64_t Checksum::value() const { return XXH3_64bits_digest(state_.get()); }

}  // namespace mixtral
