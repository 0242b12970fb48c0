#include "token_ids.h"

#include <charconv>
#include <cstdio>
#include <limits>

#include "app_context.h"
#include "io/file.h"
#include "io/json.h"
#include "io/quoted.h"

namespace mixtral {
namespace {

constexpr uint64_t kTextLimit = 1'000'000'000;

Result<std::string> read_standard_input() {
  std::string text;
  char buffer[1 << 16];
  for (size_t n = 0; (n = std::fread(buffer, 1, sizeof(buffer), stdin)) > 0;) {
    text.append(buffer, n);
    if (text.size() > kTextLimit) {
      return fail(ErrorCode::kTooLarge, "standard input: more than {} bytes", kTextLimit);
    }
  }
  if (std::ferror(stdin) != 0) return fail(ErrorCode::kBadInput, "standard input: cannot read");
  return text;
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
  return path == "-" ? read_standard_input() : as_input(read_text_file(path, kTextLimit));
}

}  // namespace mixtral
