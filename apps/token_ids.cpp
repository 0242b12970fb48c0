#include "token_ids.h"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>
#include <system_error>

#include "app_context.h"
#include "io/file.h"
#include "io/json.h"
#include "io/quoted.h"

namespace mixtral {
namespace {

constexpr uint64_t kTextLimit = 1'000'000'000;

Result<std::string> read_stream(std::FILE* stream, std::string_view name) {
  std::string text;
  char buffer[1 << 16];
  for (size_t n = 0; (n = std::fread(buffer, 1, sizeof(buffer), stream)) > 0;) {
    text.append(buffer, n);
    if (text.size() > kTextLimit) {
      return fail(ErrorCode::kTooLarge, "{}: more than {} bytes", name, kTextLimit);
    }
  }
  if (std::ferror(stream) != 0) return fail(ErrorCode::kBadInput, "{}: cannot read", name);
  return text;
}

// What `<(command)` in a shell stands for has no size to be read by.
Result<std::string> read_pipe(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(std::fopen(path.c_str(), "rb"),
                                                             &std::fclose);
  if (pipe == nullptr) {
    return fail(ErrorCode::kBadInput, "{}: cannot open: {}", path,
                std::generic_category().message(errno));
  }
  return read_stream(pipe.get(), path);
}

}  // namespace

Result<std::vector<int32_t>> parse_ids(std::string_view text, std::string_view where) {
  constexpr std::string_view kSeparators = ", \t\r\n";
  std::vector<int32_t> ids;
  while (true) {
    const size_t begin = text.find_first_not_of(kSeparators);
    if (begin == std::string_view::npos) return ids;
    text.remove_prefix(begin);
    const std::string_view word = text.substr(0, text.find_first_of(kSeparators));
    int32_t id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size()) {
      return fail(ErrorCode::kBadInput, "{}: {}, expected a token id", where, in_quotes(word));
    }
    ids.push_back(id);
    text.remove_prefix(word.size());
  }
}

Result<std::vector<int32_t>> parse_ids_json(std::string_view text, std::string_view where) {
  MIXTRAL_TRY(const Json json, parse_json(text, where));
  const Json* list = &json;
  if (json.is_object()) {
    const auto ids = json.find("ids");
    if (ids == json.end()) return fail(ErrorCode::kBadInput, "{}: no \"ids\"", where);
    list = &*ids;
  }
  if (!list->is_array()) {
    return fail(ErrorCode::kBadInput, "{}: {}, expected an array of token ids", where,
                list->type_name());
  }
  std::vector<int32_t> ids;
  for (const Json& item : *list) {
    const auto* id = item.get_ptr<const Json::number_integer_t*>();
    if (id == nullptr || *id < std::numeric_limits<int32_t>::min() ||
        *id > std::numeric_limits<int32_t>::max()) {
      return fail(ErrorCode::kBadInput, "{}: entry {} is {}, expected a token id", where,
                  ids.size(), item.is_number() ? item.dump() : item.type_name());
    }
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

Result<std::vector<int32_t>> read_ids_file(const std::string& path) {
  MIXTRAL_TRY(const std::string text, read_text(path));
  return parse_ids_json(text, path);
}

Result<std::string> read_text(const std::string& path) {
  if (path == "-") return read_stream(stdin, "standard input");
  std::error_code ignored;
  if (std::filesystem::is_fifo(path, ignored)) return read_pipe(path);
  return as_input(read_text_file(path, kTextLimit));
}

}  // namespace mixtral
