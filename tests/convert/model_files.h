// Writing and comparing checkpoints, for the tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "convert/write_model.h"
#include "io/safetensors.h"
#include "model/checkpoint.h"
#include "ops/reference.h"

namespace mixtral::testing {

/// The checkpoint at `from`, written to `to` in the format that its name tells.
inline Result<WriteReport> convert_to(const std::string& from, const std::string& to,
                                      const WriteOptions& options = {}) {
  MIXTRAL_TRY(const Checkpoint checkpoint, Checkpoint::open(from));
  MIXTRAL_TRY(const ModelSource source, model_source(checkpoint));
  return write_model(source, format_of_path(to), to, options, nullptr);
}

/// The stored bytes of matrix `matrix` of a weight, rows of wq and wk in interleaved order.
inline std::vector<std::byte> matrix_bytes(const WeightSource& source, size_t matrix) {
  std::vector<std::byte> bytes(source.rows() * source.row_bytes(matrix));
  const Status status = source.read_rows(matrix, 0, source.rows(), bytes);
  EXPECT_TRUE(status) << status.error().message;
  return bytes;
}

inline std::vector<std::byte> tensor_bytes(const TensorEntry& entry) {
  std::vector<std::byte> bytes(entry.n_bytes);
  const Status status = entry.read(0, bytes);
  EXPECT_TRUE(status) << status.error().message;
  return bytes;
}

/// Same names, types, shapes and bytes in the files themselves.
inline void expect_same_tensors(const TensorTable& a, const TensorTable& b) {
  EXPECT_EQ(a.size(), b.size());
  for (const auto& entry : a.entries()) {
    const TensorEntry* other = b.find(entry->name);
    ASSERT_NE(other, nullptr) << entry->name;
    EXPECT_EQ(type_name(entry->type), type_name(other->type)) << entry->name;
    EXPECT_EQ(entry->shape, other->shape) << entry->name;
    EXPECT_TRUE(tensor_bytes(*entry) == tensor_bytes(*other)) << entry->name;
  }
}

/// The same weights by role, whatever the files call them and however they group them.
inline void expect_same_weights(const Checkpoint& a, const Checkpoint& b) {
  for (const WeightId id : all_weights(a.config())) {
    const auto ours = a.source(id), theirs = b.source(id);
    ASSERT_EQ(ours->types(), theirs->types()) << ours->name();
    for (size_t m = 0; m < ours->n_matrices(); ++m)
      EXPECT_TRUE(matrix_bytes(*ours, m) == matrix_bytes(*theirs, m)) << ours->name();
  }
}

inline void expect_same_config(const ModelConfig& a, const ModelConfig& b) {
  EXPECT_EQ(a.dim, b.dim);
  EXPECT_EQ(a.n_layers, b.n_layers);
  EXPECT_EQ(a.n_heads, b.n_heads);
  EXPECT_EQ(a.n_kv_heads, b.n_kv_heads);
  EXPECT_EQ(a.head_dim, b.head_dim);
  EXPECT_EQ(a.hidden_dim, b.hidden_dim);
  EXPECT_EQ(a.n_experts, b.n_experts);
  EXPECT_EQ(a.n_experts_per_token, b.n_experts_per_token);
  EXPECT_EQ(a.vocab_size, b.vocab_size);
  EXPECT_EQ(a.context_len, b.context_len);
  EXPECT_EQ(a.sliding_window, b.sliding_window);
  EXPECT_EQ(a.rope_theta, b.rope_theta);
  EXPECT_EQ(a.norm_eps, b.norm_eps);
  EXPECT_EQ(a.tied_embeddings, b.tied_embeddings);
}

inline const auto reference_backend = []() -> Result<std::unique_ptr<Backend>> {
  return make_reference_backend();
};

/// The parameter itself as the name of a case, in the letters that GoogleTest allows.
inline std::string case_name(const ::testing::TestParamInfo<std::string_view>& info) {
  std::string name(info.param);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

inline Checkpoint open_model(const std::string& path) {
  auto checkpoint = Checkpoint::open(path);
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  return std::move(checkpoint).value();
}

}  // namespace mixtral::testing
