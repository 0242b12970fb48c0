// Makes packed models that were changed by hand, or by a fuzzer, look unharmed.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>

#include "io/checksum.h"
#include "io/packed_layout.h"

namespace mixtral::testing {

/// Gives a header the checksum that fits its bytes, so that these are looked at.
inline void seal_packed_header(std::string& bytes) {
  PackedPreamble preamble{};
  if (bytes.size() < sizeof preamble) return;
  std::memcpy(&preamble, bytes.data(), sizeof preamble);
  const size_t end = std::clamp<uint64_t>(preamble.header_bytes, sizeof preamble, bytes.size());
  const auto all = std::as_bytes(std::span(bytes));
  Checksum checksum;
  checksum.add(all.first(offsetof(PackedPreamble, checksum)));
  checksum.add(all.subspan(sizeof preamble, end - sizeof preamble));
  preamble.checksum = checksum.value();
  std::memcpy(bytes.data(), &preamble, sizeof preamble);
}

}  // namespace mixtral::testing
