#include "convert/upcycle.h"

#include <cmath>
#include <cstring>

#include "convert/router_source.h"

namespace mixtral {
namespace {

constexpr size_t kMaxExperts = 4096;  // as validate() allows

/// The one matrix of `dense`, n times.
class RepeatedSource final : public WeightSource {
 public:
  RepeatedSource(std::unique_ptr<WeightSource> dense, size_t n)
      : WeightSource(dense->name(), std::vector<Type>(n, dense->type()), dense->rows(),
                     dense->cols()),
        dense_(std::move(dense)) {}

  Status read_rows(size_t, size_t first_row, size_t n_rows,
                   std::span<std::byte> out) const override {
    return dense_->read_rows(0, first_row, n_rows, out);
  }

 private:
  std::unique_ptr<WeightSource> dense_;
};

Status check(const ModelSource& dense, const UpcycleOptions& options) {
  if (dense.config.has_router())
    return fail(ErrorCode::kBadInput,
                "the model has {} experts already, expected a dense model to upcycle",
                dense.config.n_experts);
  if (options.n_experts < 2 || options.n_experts > kMaxExperts)
    return fail(ErrorCode::kBadInput, "{} experts asked for, expected 2 to {}", options.n_experts,
                kMaxExperts);
  if (options.n_experts_per_token < 1 || options.n_experts_per_token > options.n_experts)
    return fail(ErrorCode::kBadInput, "{} experts per token asked for, expected 1 to {}",
                options.n_experts_per_token, options.n_experts);
  if (!std::isfinite(options.router_std) || options.router_std < 0)
    return fail(ErrorCode::kBadInput,
                "a router standard deviation of {} asked for, expected a number from 0",
                options.router_std);
  return {};
}

}  // namespace

Result<ModelSource> upcycle(ModelSource dense, const UpcycleOptions& options) {
  MIXTRAL_TRY(check(dense, options));
  ModelSource sparse = dense;
  sparse.config.n_experts = options.n_experts;
  sparse.config.n_experts_per_token = options.n_experts_per_token;
  sparse.weight = [options, dim = dense.config.dim,
                   weight = std::move(dense.weight)](WeightId id) -> std::unique_ptr<WeightSource> {
    switch (id.role) {
      case Role::kRouter:
        return make_random_router({.layer = id.layer,
                                   .n_experts = options.n_experts,
                                   .dim = dim,
                                   .seed = options.seed,
                                   .standard_deviation = options.router_std});
      case Role::kWGate:
      case Role::kWUp:
      case Role::kWDown: return std::make_unique<RepeatedSource>(weight(id), options.n_experts);
      default: return weight(id);
    }
  };
  return sparse;
}

}  // namespace mixtral
