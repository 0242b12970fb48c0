#include "io/folder.h"

#include <algorithm>
#include <array>
#include <filesystem>

namespace mixtral {
namespace {

// A line of Python that makes safetensors of the pickles; their folder or file goes in for {}.
constexpr std::string_view kFromTransformers =
    "from transformers import AutoModelForCausalLM as M; "
    "M.from_pretrained('{0}').save_pretrained('{0}-safetensors')";
constexpr std::string_view kFromTorch =
    "import torch; from safetensors.torch import save_file; save_file({{k: v.contiguous() for k, v "
    "in torch.load('{0}', map_location='cpu', weights_only=True).items()}}, '{1}')";

tl::unexpected<Error> refuse(const std::string& path, const std::string& python) {
  return fail(ErrorCode::kUnsupported,
              "{}: weights as a pickle, which may run any code when it is loaded; expected "
              "safetensors, which this line of Python makes: {}",
              path, python);
}

}  // namespace

Result<std::vector<std::string>> list_folder(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> names;
  for (auto it = std::filesystem::directory_iterator(folder, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    std::error_code not_regular;
    if (it->is_regular_file(not_regular)) names.push_back(it->path().filename().string());
  }
  if (error) {
    const bool missing = error == std::errc::no_such_file_or_directory;
    return fail(missing ? ErrorCode::kNotFound : ErrorCode::kIo, "{}: cannot list the folder: {}",
                folder, error.message());
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool is_pickle_name(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kExtensions = {".bin", ".pth", ".pt", ".ckpt",
                                                                  ".pkl"};
  return std::any_of(kExtensions.begin(), kExtensions.end(),
                     [&](std::string_view extension) { return name.ends_with(extension); });
}

tl::unexpected<Error> pickle_refused(const std::string& path) {
  const std::string target = std::filesystem::path(path).replace_extension(".safetensors").string();
  return refuse(path, fmt::format(kFromTorch, path, target));
}

tl::unexpected<Error> no_weights(const std::string& folder, const std::vector<std::string>& names) {
  const auto pickle = std::find_if(names.begin(), names.end(), is_pickle_name);
  if (pickle != names.end()) {
    const std::string path = folder + "/" + *pickle;
    if (pickle->ends_with(".bin")) return refuse(path, fmt::format(kFromTransformers, folder));
    return pickle_refused(path);
  }
  const auto has_shard = std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return name.starts_with("model-") && name.ends_with(".safetensors");
  });
  if (has_shard) {
    return fail(ErrorCode::kNotFound,
                "{}: shards, but no model.safetensors.index.json that says what is in them",
                folder);
  }
  return fail(ErrorCode::kNotFound,
              "{}: no model.safetensors, model.safetensors.index.json or consolidated*.safetensors",
              folder);
}

}  // namespace mixtral
