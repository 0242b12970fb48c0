// The bytes of a weight on their way from one checkpoint to another: read in chunks on every core,
// changed in type and row order where asked, handed on in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/function_ref.h"
#include "core/result.h"
#include "core/thread_pool.h"
#include "ops/weight.h"
#include "quant/type.h"

namespace mixtral {

/// The order of a head's rows in wq and wk. Rotary pairs are rows (2i, 2i+1) in interleaved order,
/// which WeightSource gives, and (i, i + head_dim/2) in half order, which Hugging Face files hold.
enum class RowOrder { kInterleaved, kHalf };

/// How a weight is to be written.
struct WeightForm {
  Type type = Type::kF32;
  RowOrder order = RowOrder::kInterleaved;
  size_t head_dim = 0;                     ///< needed for kHalf only
  std::span<const float> importance = {};  ///< of the columns, see pack(); empty: all alike
};

/// Takes the next bytes; called by one thread, in order.
using ByteSink = FunctionRef<Status(std::span<const std::byte>)>;

/// Sends matrix `matrix` of `source` to `sink`. With the type unchanged the bytes are those stored.
/// Fails with kBadInput, naming the weight, if a value is not finite or becomes so in the new type
/// (kept bytes are not looked at).
Status stream_matrix(const WeightSource& source, size_t matrix, const WeightForm& form,
                     ThreadPool& pool, ByteSink sink);

/// True if every value of `source` is one that `type` (F16 or BF16) holds exactly. Reads it whole:
/// for vectors and routers.
Result<bool> holds_exactly(const WeightSource& source, Type type);

}  // namespace mixtral
