// The smallest program with libmixtral: which kernels will run here.
#include <iostream>

#include "core/cpu_features.h"

int main() {
  std::cout << mixtral::cpu_model_name() << ": " << mixtral::isa_name(mixtral::best_isa()) << '\n';
}
