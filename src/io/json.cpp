#include "io/json.h"

#include <algorithm>
#include <vector>

#include "io/file.h"
#include "io/json_events-inl.h"
#include "io/quoted.h"

namespace mixtral {
namespace {

constexpr size_t kMaxDepth = 64;
// One value takes up to about 100 bytes, so this bounds the memory of any text.
constexpr size_t kMaxValues = 4'194'304;

// Builds the document from the parser's events. The library's own builder would overwrite duplicate
// keys silently, and looks each new key up among all earlier ones of its object.
class DocumentBuilder {
 public:
  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(int64_t value) { return add(value); }
  bool number_unsigned(uint64_t value) { return add(value); }
  bool number_float(double value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(Json::binary_t&) { return refuse("binary values are not JSON"); }
  bool key(std::string& value) {
    key_ = std::move(value);
    return true;
  }
  bool start_object(size_t) { return open(Json::value_t::object); }
  bool start_array(size_t) { return open(Json::value_t::array); }
  bool end_array() {
    open_.pop_back();
    return true;
  }
  bool end_object() {
    const auto& object = open_.back()->get_ref<const Json::object_t&>();
    open_.pop_back();
    std::vector<std::string_view> keys;
    keys.reserve(object.size());
    for (const auto& [key, value] : object) keys.push_back(key);
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice == keys.end()) return true;
    return refuse(
        fmt::format("key {} is there twice in the object that ends here", in_quotes(*twice)));
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) {
    return refuse(json_syntax_message(error.what()));
  }

  Json take_document() { return std::move(document_); }
  const Error& error() const { return error_; }

 private:
  bool add(Json value) { return append(std::move(value)) != nullptr; }
  bool open(Json::value_t kind) {
    if (open_.size() == kMaxDepth) {
      return refuse(fmt::format("nested deeper than {} levels", kMaxDepth));
    }
    Json* container = append(Json(kind));
    if (container == nullptr) return false;
    open_.push_back(container);
    return true;
  }
  // The place of the value in the document, or nullptr if it has no room.
  Json* append(Json value) {
    if (++n_values_ > kMaxValues) {
      error_ = {ErrorCode::kTooLarge, fmt::format("more than {} values", kMaxValues)};
      return nullptr;
    }
    if (open_.empty()) return &(document_ = std::move(value));
    if (open_.back()->is_array()) {
      return &open_.back()->get_ref<Json::array_t&>().emplace_back(std::move(value));
    }
    auto& object = open_.back()->get_ref<Json::object_t&>();
    return &object.emplace_back(std::move(key_), std::move(value)).second;
  }
  bool refuse(std::string message) {
    error_ = {ErrorCode::kBadInput, std::move(message)};
    return false;
  }

  Json document_;
  std::vector<Json*> open_;  // from the document down to the object or array being filled
  std::string key_;
  size_t n_values_ = 0;
  Error error_;
};

}  // namespace

std::string json_syntax_message(std::string_view library_message) {
  // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while …"
  constexpr std::string_view kColumn = "column ";
  const size_t column = library_message.find(kColumn);
  const size_t colon =
      column == std::string_view::npos ? column : library_message.find(": ", column);
  if (colon != std::string_view::npos) library_message.remove_prefix(colon + 2);
  return fmt::format("not JSON: {}", in_quotes(library_message));
}

Result<Json> parse_json(std::string_view text, std::string_view where) {
  DocumentBuilder builder;
  if (const auto stopped_at = parse_json_events(text, builder)) {
    return fail(builder.error().code, "{}: near byte {}: {}", where, *stopped_at,
                builder.error().message);
  }
  return builder.take_document();
}

Result<Json> read_json_file(const std::string& path, uint64_t limit_bytes) {
  MIXTRAL_TRY(const std::string text, read_text_file(path, limit_bytes));
  return parse_json(text, path);
}

}  // namespace mixtral
