// Reads the records of tests/golden/data/quant (tools/make_quant_vectors.py writes them).
#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "quant/type.h"

namespace mixtral::testing {

struct QuantVector {
  Type type;
  std::vector<std::byte> packed;
  std::vector<float> floats;
};

inline std::vector<QuantVector> read_vectors(const std::string& path) {
  std::vector<QuantVector> vectors;
  std::ifstream file(path, std::ios::binary);
  struct {
    uint32_t id, n_weights, n_bytes;
  } head{};
  while (file.read(reinterpret_cast<char*>(&head), sizeof(head))) {
    QuantVector vector{type_from_id(head.id).value(), {}, {}};
    vector.packed.resize(head.n_bytes);
    vector.floats.resize(head.n_weights);
    file.read(reinterpret_cast<char*>(vector.packed.data()), head.n_bytes);
    file.read(reinterpret_cast<char*>(vector.floats.data()), head.n_weights * sizeof(float));
    vectors.push_back(std::move(vector));
  }
  return vectors;
}

}  // namespace mixtral::testing
