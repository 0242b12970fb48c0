// The metadata of a GGUF header, which packed models have too: keys with typed values.
#pragma once

#include <cstdint>
#include <string>

#include "core/result.h"
#include "io/gguf.h"
#include "io/gguf_cursor.h"

namespace mixtral {

/// Fails if there are more than `limit` items, or no room for them of `min_bytes` each.
Status check_gguf_count(const GgufCursor& cursor, uint64_t count, uint64_t min_bytes,
                        uint64_t limit);

/// A string that is not empty and has no control characters.
Result<std::string> read_gguf_name(GgufCursor& cursor, uint64_t limit_bytes);

/// Reads `n_keys` keys into `metadata`. Fails if one is there already. Memory is bounded by a small
/// multiple of their bytes. Messages do not name the file.
Status read_gguf_keys(GgufCursor& cursor, uint64_t n_keys, GgufMetadata& metadata);

}  // namespace mixtral
