#include <algorithm>
#include <filesystem>
#include <set>

#include "io/folder.h"
#include "io/json.h"
#include "io/quoted.h"
#include "io/safetensors.h"

namespace mixtral {
namespace {

constexpr std::string_view kIndexName = "model.safetensors.index.json";
constexpr uint64_t kMaxIndexBytes = 16 << 20;

// Tensor name to file name, as the index says.
using WeightMap = std::map<std::string, std::string, std::less<>>;

bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && is_printable(name) &&
         name.find_first_of("/\\") == std::string_view::npos;
}

Result<WeightMap> read_weight_map(const std::string& index) {
  MIXTRAL_TRY(const Json document, read_json_file(index, kMaxIndexBytes));
  const auto field = document.is_object() ? document.find("weight_map") : document.end();
  if (field == document.end() || !field->is_object() || field->empty()) {
    return fail(ErrorCode::kBadInput, "{}: no object \"weight_map\" with tensors", index);
  }
  WeightMap weight_map;
  for (const auto& [tensor, shard] : field->items()) {
    if (!shard.is_string()) {
      return fail(ErrorCode::kBadInput, "{}: tensor {}: {}, expected a file name", index,
                  in_quotes(tensor), shard.type_name());
    }
    const auto& name = shard.get_ref<const std::string&>();
    if (!is_plain_file_name(name)) {
      return fail(ErrorCode::kBadInput,
                  "{}: tensor {}: {}, expected a file name in the same folder", index,
                  in_quotes(tensor), in_quotes(name));
    }
    weight_map.emplace(tensor, name);
  }
  return weight_map;
}

// Every tensor of the index lies where the index says, and there are no others.
Status check_weight_map(const std::string& index, const std::string& folder,
                        const WeightMap& weight_map, const TensorTable& table) {
  for (const auto& [name, shard] : weight_map) {
    const TensorEntry* entry = table.find(name);
    if (entry == nullptr) {
      return fail(ErrorCode::kBadInput, "{}: tensor {} is not in {}", index, in_quotes(name),
                  shard);
    }
    if (entry->file->path() != folder + "/" + shard) {
      return fail(ErrorCode::kBadInput, "{}: tensor {} is in {}, expected in {}", index,
                  in_quotes(name), entry->file->path(), shard);
    }
  }
  for (const auto& entry : table.entries()) {
    if (!weight_map.contains(entry->name)) {
      return fail(ErrorCode::kBadInput, "{}: tensor {} is not in {}", entry->file->path(),
                  in_quotes(entry->name), index);
    }
  }
  return {};
}

Result<TensorTable> open_indexed(const std::string& folder) {
  const std::string index = fmt::format("{}/{}", folder, kIndexName);
  MIXTRAL_TRY(const WeightMap weight_map, read_weight_map(index));
  std::set<std::string_view> shards;
  for (const auto& [name, shard] : weight_map) shards.insert(shard);
  TensorTable table;
  for (const std::string_view shard : shards) {
    Status status = add_safetensors(fmt::format("{}/{}", folder, shard), table);
    if (!status) {
      return with_context(std::move(status).error(), fmt::format("shard of {}", kIndexName));
    }
  }
  MIXTRAL_TRY(check_weight_map(index, folder, weight_map, table));
  return table;
}

}  // namespace

Result<TensorTable> open_safetensors_folder(const std::string& folder) {
  MIXTRAL_TRY(const std::vector<std::string> names, list_folder(folder));
  const auto has = [&](std::string_view name) {
    return std::binary_search(names.begin(), names.end(), name);
  };
  if (has(kIndexName)) return open_indexed(folder);
  TensorTable table;
  if (has("model.safetensors")) {
    MIXTRAL_TRY(add_safetensors(folder + "/model.safetensors", table));
    return table;
  }
  bool found = false;
  for (const std::string& name : names) {
    if (!name.starts_with("consolidated") || !name.ends_with(".safetensors")) continue;
    MIXTRAL_TRY(add_safetensors(folder + "/" + name, table));
    found = true;
  }
  if (found) return table;
  return no_weights(folder, names);
}

}  // namespace mixtral
