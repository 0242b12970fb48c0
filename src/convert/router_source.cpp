#include "convert/router_source.h"

#include <cmath>
#include <cstring>

#include "core/half.h"
#include "core/rng.h"

namespace mixtral {
namespace {

// BF16 keeps fewer bits, F16 has the smaller range: rounding to F16 first leaves a number of at
// most 11 bits, and dropping bits of that one (BF16) stays on F16's grid.
float round_for_all_types(double value) {
  const float in_f16 = f16_to_f32(f32_to_f16(static_cast<float>(value)));
  return bf16_to_f32(f32_to_bf16(in_f16));
}

class RouterSource final : public WeightSource {
 public:
  explicit RouterSource(const RandomRouter& router)
      : WeightSource(fmt::format("router of layer {}", router.layer), {Type::kF32},
                     router.n_experts, router.dim),
        router_(router) {}

  Status read_rows(size_t, size_t first_row, size_t n_rows,
                   std::span<std::byte> out) const override {
    for (size_t r = 0; r < n_rows; ++r) {
      const uint64_t row = uint64_t{router_.layer} * router_.n_experts + first_row + r;
      Rng rng(Rng(router_.seed).next() + row);  // any row can be drawn without the ones before it
      const double scale = router_.standard_deviation /
                           std::pow(static_cast<double>(first_row + r + 1), router_.skew);
      for (size_t c = 0; c < cols(); ++c) {
        const float value = round_for_all_types(rng.normal() * scale);
        std::memcpy(out.data() + (r * cols() + c) * sizeof value, &value, sizeof value);
      }
    }
    return {};
  }

 private:
  RandomRouter router_;
};

}  // namespace

std::unique_ptr<WeightSource> make_random_router(const RandomRouter& router) {
  return std::make_unique<RouterSource>(router);
}

}  // namespace mixtral
