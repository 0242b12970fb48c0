#include "io/gguf_encoder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace mixtral {
namespace {

static_assert(std::endian::native == std::endian::little, "values are copied as they lie in files");

// Ids of metadata types (GGUF specification, gguf_metadata_value_type). The wider of two that hold
// one kind of number has the greater id.
constexpr uint32_t kUint32 = 4, kInt32 = 5, kFloat32 = 6, kBool = 7, kString = 8, kArray = 9,
                   kUint64 = 10, kInt64 = 11, kFloat64 = 12;

// Readers ask for numbers of 32 bits; 64 are used only for values that need them.
uint32_t stored_type(uint64_t value, FloatWidth) {
  return value <= std::numeric_limits<uint32_t>::max() ? kUint32 : kUint64;
}
uint32_t stored_type(int64_t value, FloatWidth) {
  return value == static_cast<int32_t>(value) ? kInt32 : kInt64;
}
uint32_t stored_type(double value, FloatWidth width) {
  if (!std::isfinite(value)) return kFloat32;
  if (std::abs(value) > double{std::numeric_limits<float>::max()}) return kFloat64;
  const bool rounded = static_cast<double>(static_cast<float>(value)) != value;
  return width == FloatWidth::kExact && rounded ? kFloat64 : kFloat32;
}
uint32_t stored_type(bool, FloatWidth) { return kBool; }
uint32_t stored_type(const std::string&, FloatWidth) { return kString; }

}  // namespace

// One metadata value with its type before it, for std::visit.
struct GgufEncoder::ValueWriter {
  GgufEncoder& out;

  template <class T>
  void operator()(const T& value) {
    const uint32_t type = stored_type(value, out.width_);
    out.put(type);
    put_stored(type, value);
  }
  template <class T>
  void operator()(const std::vector<T>& values) {
    uint32_t type = stored_type(T{}, out.width_);
    for (const T& value : values) type = std::max(type, stored_type(value, out.width_));
    out.put(kArray);
    out.put(type);
    out.put(uint64_t{values.size()});
    for (const T& value : values) put_stored(type, value);
  }

  void put_stored(uint32_t, bool value) { out.put(static_cast<uint8_t>(value)); }
  void put_stored(uint32_t, const std::string& value) { out.put_string(value); }
  void put_stored(uint32_t type, uint64_t value) {
    if (type == kUint64) return out.put(value);
    out.put(static_cast<uint32_t>(value));
  }
  void put_stored(uint32_t type, int64_t value) {
    if (type == kInt64) return out.put(value);
    out.put(static_cast<int32_t>(value));
  }
  void put_stored(uint32_t type, double value) {
    if (type == kFloat64) return out.put(value);
    out.put(static_cast<float>(value));
  }
};

void GgufEncoder::put_string(std::string_view text) {
  put(uint64_t{text.size()});
  bytes_ += text;
}

void GgufEncoder::put_key(std::string_view key, const GgufValue& value) {
  put_string(key);
  std::visit(ValueWriter{*this}, value);
}

void GgufEncoder::pad_to(uint64_t alignment) {
  bytes_.append((alignment - bytes_.size() % alignment) % alignment, '\0');
}

}  // namespace mixtral
