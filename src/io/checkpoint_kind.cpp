#include "io/checkpoint_kind.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>

#include "io/file.h"
#include "io/folder.h"
#include "io/packed.h"

namespace mixtral {
namespace {

constexpr std::string_view kExpected =
    "expected a GGUF file, a packed model, or a folder with config.json or params.json";

Result<CheckpointKind> detect_folder(const std::string& folder) {
  MIXTRAL_TRY(const std::vector<std::string> names, list_folder(folder));
  const auto has = [&](std::string_view name) {
    return std::binary_search(names.begin(), names.end(), name);
  };
  const auto find = [&](std::string_view prefix, std::string_view extension) {
    return std::find_if(names.begin(), names.end(), [&](const std::string& name) {
      return name.starts_with(prefix) && name.ends_with(extension);
    });
  };
  const bool has_config = has("config.json"), has_params = has("params.json");
  if (has_config && has_params) {
    const bool only_mistral = find("model", ".safetensors") == names.end() &&
                              find("consolidated", ".safetensors") != names.end();
    return only_mistral ? CheckpointKind::kMistral : CheckpointKind::kHuggingFace;
  }
  if (has_config) return CheckpointKind::kHuggingFace;
  if (has_params) return CheckpointKind::kMistral;
  if (const auto gguf = find("", ".gguf"); gguf != names.end()) {
    return fail(ErrorCode::kBadInput, "{}: a folder with GGUF files, name one of them: {}/{}",
                folder, folder, *gguf);
  }
  return fail(ErrorCode::kBadInput, "{}: a folder of {} files that is no model, {}", folder,
              names.size(), kExpected);
}

// Pickles are zip archives (torch ≥ 1.6) or begin with the opcode PROTO and a version.
bool looks_like_pickle(std::span<const char> head) {
  return (head.size() >= 4 && std::memcmp(head.data(), "PK\x03\x04", 4) == 0) ||
         (head.size() >= 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5);
}

Result<CheckpointKind> detect_file(const std::string& path) {
  MIXTRAL_TRY(const auto file, InputFile::open(path));
  if (file->size() == 0)
    return fail(ErrorCode::kBadInput, "{}: an empty file, {}", path, kExpected);
  std::array<char, kPackedMagic.size()> bytes{};
  const auto head = std::span(bytes).first(std::min<uint64_t>(file->size(), bytes.size()));
  MIXTRAL_TRY(file->read_at(0, std::as_writable_bytes(head)));
  if (std::string_view(head.data(), head.size()) == kPackedMagic) return CheckpointKind::kPacked;
  const std::string_view magic = std::string_view(head.data(), head.size()).substr(0, 4);
  if (magic == "GGUF") return CheckpointKind::kGguf;
  if (magic == "FUGG") {
    return fail(ErrorCode::kUnsupported, "{}: a big-endian GGUF file, expected little-endian",
                path);
  }
  if (magic == "lmgg" || magic == "fmgg" || magic == "tjgg" || magic == "algg") {
    return fail(ErrorCode::kUnsupported, "{}: a GGML file of before GGUF, expected GGUF", path);
  }
  if (path.ends_with(".safetensors")) {
    const std::string folder = std::filesystem::path(path).parent_path().string();
    return fail(ErrorCode::kBadInput,
                "{}: a single safetensors file, name its folder, which also has the config: {}",
                path, folder.empty() ? "." : folder);
  }
  if (is_pickle_name(path) || looks_like_pickle(head)) return pickle_refused(path);
  return fail(ErrorCode::kBadInput, "{}: no GGUF file, {}", path, kExpected);
}

}  // namespace

Result<CheckpointKind> detect_checkpoint(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return detect_folder(path);
  return detect_file(path);
}

}  // namespace mixtral
