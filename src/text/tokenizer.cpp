#include "text/tokenizer.h"

#include <filesystem>

#include "io/file.h"
#include "io/json.h"
#include "io/packed.h"
#include "text/json_fields.h"
#include "text/tokenizer_formats.h"

namespace mixtral {
namespace {

// The largest in use: tokenizer.model 4 MB, tokenizer.json 33 MB.
constexpr uint64_t kMaxModelBytes = uint64_t{16} << 20;
constexpr uint64_t kMaxJsonBytes = uint64_t{64} << 20;
constexpr uint64_t kMaxSettingsBytes = uint64_t{16} << 20;

bool is_file(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

/// A token of tokenizer_config.json: a string, or an object with `content`.
std::string token_field(const Json& config, const char* key) {
  const Json* value = field(config, key);
  if (value == nullptr) return {};
  return value->is_object() ? string_field(*value, "content") : string_field(config, key);
}

/// chat_template is a string, or a list of named ones of which "default" counts.
std::string template_field(const Json& config) {
  for (const Json& named : elements(field(config, "chat_template"))) {
    if (string_field(named, "name") == "default") return string_field(named, "template");
  }
  return string_field(config, "chat_template");
}

/// A number or a list of numbers.
std::vector<int64_t> ids_field(const Json& config, const char* key) {
  std::vector<int64_t> ids;
  const Json* value = field(config, key);
  if (value == nullptr) return ids;
  if (value->is_number_integer()) ids.push_back(value->get<int64_t>());
  for (const Json& id : elements(value)) {
    if (id.is_number_integer()) ids.push_back(id.get<int64_t>());
  }
  return ids;
}

Result<std::unique_ptr<Tokenizer>> load_file(const std::string& path) {
  char magic[kPackedMagic.size()] = {};
  {
    MIXTRAL_TRY(const auto file, InputFile::open(path));
    if (file->size() < sizeof magic)
      return fail(ErrorCode::kBadInput, "{}: {} bytes, no tokenizer", path, file->size());
    MIXTRAL_TRY(file->read_at(0, std::as_writable_bytes(std::span(magic))));
  }
  const std::string_view start(magic, sizeof magic);
  if (start == kPackedMagic) {
    MIXTRAL_TRY(const PackedFile file, PackedFile::open(path));
    return tokenizer_from_gguf(file.metadata, path);
  }
  if (start.starts_with("GGUF")) {
    MIXTRAL_TRY(const GgufFile file, GgufFile::open(path));
    return tokenizer_from_gguf(file.metadata, path);
  }
  std::string folder = std::filesystem::path(path).parent_path().string();
  MIXTRAL_TRY(const auto settings, read_tokenizer_settings(folder.empty() ? "." : folder));
  const size_t first = start.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && start[first] == '{') {
    MIXTRAL_TRY(const std::string text, read_text_file(path, kMaxJsonBytes));
    return tokenizer_from_json(text, path, settings);
  }
  MIXTRAL_TRY(const std::string bytes, read_text_file(path, kMaxModelBytes));
  return tokenizer_from_sentencepiece(bytes, path, settings);
}

}  // namespace

Result<TokenizerSettings> read_tokenizer_settings(const std::string& folder) {
  TokenizerSettings settings;
  if (const std::string path = folder + "/tokenizer_config.json"; is_file(path)) {
    MIXTRAL_TRY(const Json config, read_json_file(path, kMaxSettingsBytes));
    settings.bos_piece = token_field(config, "bos_token");
    settings.eos_piece = token_field(config, "eos_token");
    settings.unk_piece = token_field(config, "unk_token");
    if (const Json* adds = field(config, "add_bos_token"); adds != nullptr && adds->is_boolean())
      settings.adds_bos = adds->get<bool>();
    settings.chat_template = template_field(config);
    settings.has_config = true;
  }
  if (const std::string path = folder + "/generation_config.json"; is_file(path)) {
    MIXTRAL_TRY(const Json config, read_json_file(path, kMaxSettingsBytes));
    settings.end_ids = ids_field(config, "eos_token_id");
  }
  if (const std::string path = folder + "/chat_template.jinja"; is_file(path)) {
    MIXTRAL_TRY(settings.chat_template, read_text_file(path, kMaxSettingsBytes));
  }
  return settings;
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::load(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return load_file(path);
  for (const char* name : {"/tokenizer.json", "/tokenizer.model"}) {
    if (is_file(path + name)) return load_file(path + name);
  }
  return nullptr;
}

}  // namespace mixtral
