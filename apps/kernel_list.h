// Which kernel multiplies which kind of weight: what people ask when a model is slow.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/checkpoint.h"
#include "ops/weight.h"

namespace mixtral {

struct KernelUse {
  Role role;
  Type type;
  std::string kernel;
};

/// One entry for each role and type, in the order in which they were added.
class KernelList {
 public:
  bool has(Role role, Type type) const;
  /// The weight of `role` that a backend has loaded; does nothing if such a one is known.
  void add(Role role, const Weight& weight);

  const std::vector<KernelUse>& uses() const { return uses_; }
  /// One line for each type and kernel, with all its roles: "Q4_K w_gate, w_up: avx2 int8, ...".
  std::vector<std::string> lines() const;

 private:
  std::vector<KernelUse> uses_;
};

}  // namespace mixtral
