#include "convert/write_plan.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "convert/column_importance.h"
#include "convert/type_mix.h"
#include "model/tensor_names.h"

namespace mixtral {
namespace {

/// True for the weights that are kept in F32 where nothing is lost by it: small and delicate.
bool is_small(Role role) { return is_vector(role) || role == Role::kRouter; }

/// True if every value of `from` is a value of `to`.
bool widens(Type from, Type to) { return to == Type::kF32 || from == to; }

/// Collects what happens to weights that are not copied bit by bit, one line for all layers.
class Notes {
 public:
  void add(Role role, Type from, Type to) {
    if (from == to || (widens(from, to) && !is_quantised(from))) return;
    ++changes_[{role, from, to}];
  }

  std::vector<std::string> lines() const {
    std::vector<std::string> lines;
    for (const auto& [change, n_matrices] : changes_) {
      const auto& [role, from, to] = change;
      lines.push_back(fmt::format(
          "{} ({} {}): {} became {}: {}", role_name(role), n_matrices,
          n_matrices == 1 ? "matrix" : "matrices", type_name(from), type_name(to),
          widens(from, to) ? "the same values, but the blocks they were stored in are gone"
                           : "values were rounded"));
    }
    return lines;
  }

 private:
  std::map<std::tuple<Role, Type, Type>, size_t> changes_;
};

/// Collects what is worth saying about a mix of types, one line for all layers.
class MixNotes {
 public:
  void add(Role role, const WeightSource& source, Type wanted, Type chosen) {
    if (chosen != wanted) replaced_[{role, wanted, chosen, source.cols()}] += source.n_matrices();
    for (const Type stored : source.types())
      if (is_quantised(stored) && stored != chosen) ++quantised_before_[stored];
  }

  std::vector<std::string> lines() const {
    std::vector<std::string> lines;
    for (const auto& [change, n_matrices] : replaced_) {
      const auto& [role, wanted, chosen, cols] = change;
      lines.push_back(fmt::format(
          "{} ({} {}): {} in the place of {}, whose blocks of {} do not divide rows of {}",
          role_name(role), n_matrices, n_matrices == 1 ? "matrix" : "matrices", type_name(chosen),
          type_name(wanted), type_info(wanted).block_size, cols));
    }
    for (const auto& [type, n_matrices] : quantised_before_) {
      lines.push_back(fmt::format(
          "{} {} of {} rounded a second time: the original model would give better ones",
          n_matrices, n_matrices == 1 ? "matrix" : "matrices", type_name(type)));
    }
    return lines;
  }

 private:
  std::map<std::tuple<Role, Type, Type, size_t>, size_t> replaced_;
  std::map<Type, size_t> quantised_before_;
};

/// The one type of all matrices of a stack, if there is one.
std::optional<Type> common_type(const WeightSource& source) {
  const auto& types = source.types();
  if (std::any_of(types.begin(), types.end(), [&](Type type) { return type != types.front(); }))
    return std::nullopt;
  return types.front();
}

/// The type that the options ask for, whatever the length of the rows.
Type asked_type(const ModelSource& model, const WriteOptions& options, WeightId id,
                const WeightSource& source) {
  const std::optional<Type> stored = common_type(source);
  if (is_vector(id.role)) return Type::kF32;  // what readers of GGUF files expect
  if (id.role == Role::kRouter)
    return model.keeps_gguf_types ? stored.value_or(Type::kF32) : Type::kF32;
  if (options.mix != nullptr)
    return wanted_type(*options.mix, model.config, id, options.importance != nullptr);
  return options.type.value_or(stored.value_or(Type::kF32));
}

/// The type of a matrix in a folder, which knows no blocks.
Type dense_type(const WriteOptions& options, Type stored) {
  return options.type.value_or(is_quantised(stored) ? Type::kF32 : stored);
}

/// The type that all matrices of a folder have, or F32 if they differ.
Type folder_type(const ModelSource& model, const WriteOptions& options) {
  std::optional<Type> common;
  for (const WeightId id : all_weights(model.config)) {
    if (is_small(id.role)) continue;
    const auto source = model.weight(id);
    for (const Type stored : source->types()) {
      const Type type = dense_type(options, stored);
      if (common.value_or(type) != type) return Type::kF32;
      common = type;
    }
  }
  return common.value_or(Type::kF32);
}

Result<Type> small_type(const WeightSource& source, Type folder) {
  const std::optional<Type> stored = common_type(source);
  if (stored == folder) return folder;
  if (folder == Type::kF32) return Type::kF32;
  MIXTRAL_TRY(const bool exact, holds_exactly(source, folder));
  return exact ? folder : Type::kF32;
}

std::vector<uint64_t> matrix_shape(Role role, const WeightSource& source) {
  if (is_vector(role)) return {source.cols()};
  return {source.rows(), source.cols()};
}

}  // namespace

uint64_t PlannedTensor::n_bytes() const {
  const uint64_t cols = shape.back();
  const uint64_t rows =
      std::accumulate(shape.begin(), shape.end() - 1, uint64_t{1}, std::multiplies<>());
  return rows * row_bytes(form.type, cols);
}

uint64_t WritePlan::n_bytes() const {
  return std::accumulate(tensors.begin(), tensors.end(), uint64_t{0},
                         [](uint64_t sum, const auto& tensor) { return sum + tensor.n_bytes(); });
}

Result<WritePlan> plan_gguf(const ModelSource& model, const WriteOptions& options) {
  if (options.importance != nullptr) MIXTRAL_TRY(check_importance(*options.importance, model));
  WritePlan plan;
  Notes notes;
  MixNotes mix_notes;
  for (const WeightId id : all_weights(model.config)) {
    const auto source = model.weight(id);
    const Type asked = asked_type(model, options, id, *source);
    const Type type = fitting_type(asked, id.role, source->cols());
    if (options.mix != nullptr) {
      mix_notes.add(id.role, *source, asked, type);
    } else {
      for (const Type stored : source->types()) notes.add(id.role, stored, type);
    }
    PlannedTensor tensor{new_tensor_name(CheckpointKind::kGguf, id, 0, model.config.has_router()),
                         id,
                         0,
                         source->n_matrices(),
                         {.type = type},
                         matrix_shape(id.role, *source),
                         {}};
    if (is_expert(id.role) && model.config.has_router())
      tensor.shape.insert(tensor.shape.begin(), source->n_matrices());
    if (options.importance != nullptr && is_quantised(type))
      tensor.importance = column_importance(*options.importance, tensor.name, plan.warnings);
    plan.tensors.push_back(std::move(tensor));
  }
  plan.notes = options.mix != nullptr ? mix_notes.lines() : notes.lines();
  return plan;
}

Result<WritePlan> plan_huggingface(const ModelSource& model, const WriteOptions& options) {
  const Type folder = folder_type(model, options);
  std::vector<PlannedTensor> tensors;
  Notes notes;
  for (const WeightId id : all_weights(model.config)) {
    const auto source = model.weight(id);
    Type small = folder;
    if (is_small(id.role)) {
      MIXTRAL_TRY(small, small_type(*source, folder));
    }
    const bool rotary = id.role == Role::kWq || id.role == Role::kWk;
    for (size_t matrix = 0; matrix < source->n_matrices(); ++matrix) {
      const Type stored = source->type(matrix);
      const Type type = is_small(id.role) ? small : dense_type(options, stored);
      if (!is_small(id.role)) notes.add(id.role, stored, type);  // those change without loss only
      tensors.push_back(
          {new_tensor_name(CheckpointKind::kHuggingFace, id, matrix, model.config.has_router()),
           id,
           matrix,
           1,
           {type, rotary ? RowOrder::kHalf : RowOrder::kInterleaved, model.config.head_dim},
           matrix_shape(id.role, *source),
           {}});
    }
  }
  return WritePlan{std::move(tensors), notes.lines(), {}};
}

Status stream_tensor(const ModelSource& model, const PlannedTensor& tensor, ThreadPool& pool,
                     ByteSink sink) {
  const auto source = model.weight(tensor.id);
  WeightForm form = tensor.form;
  for (size_t i = 0; i < tensor.n_matrices; ++i) {
    if (!tensor.importance.empty())
      form.importance = std::span(tensor.importance).subspan(i * source->cols(), source->cols());
    MIXTRAL_TRY(stream_matrix(*source, tensor.first_matrix + i, form, pool, sink));
  }
  return {};
}

}  // namespace mixtral
