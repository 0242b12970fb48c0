// Strings of a schema: lengths, patterns, formats.
#include <algorithm>
#include <array>

#include "grammar/schema_compiler.h"
#include "io/quoted.h"

namespace mixtral {
namespace {

// Narrower than the standards where they are hard to spell: every text is valid, not every valid
// text is there.
struct Format {
  std::string_view name, pattern;
};
constexpr std::string_view kDatePattern =
    "[12]\\d{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|"
    "02-(?:0[1-9]|1\\d|2[0-8]))";
constexpr std::string_view kTimePattern =
    "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)";
constexpr std::string_view kOctet = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
constexpr std::string_view kHostnamePattern =
    "[A-Za-z0-9](?:[A-Za-z0-9-]{0,40}[A-Za-z0-9])?"
    "(?:\\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,40}[A-Za-z0-9])?){0,3}";

std::optional<std::string> format_pattern(std::string_view name) {
  if (name == "date") return std::string(kDatePattern);
  if (name == "time") return std::string(kTimePattern);
  if (name == "date-time") return fmt::format("{}T{}", kDatePattern, kTimePattern);
  if (name == "ipv4") return fmt::format("(?:{0}\\.){{3}}{0}", kOctet);
  if (name == "hostname") return std::string(kHostnamePattern);
  static constexpr std::array kOthers = {
      Format{"uuid", "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"},
      Format{"email",
             "[A-Za-z0-9_+-]{1,32}(?:\\.[A-Za-z0-9_+-]{1,16}){0,3}"
             "@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?\\.){1,3}[A-Za-z]{2,16}"},
      Format{"ipv6", "(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}"},
      Format{"duration",
             "P(?:\\d{1,6}W|\\d{1,6}D(?:T\\d{1,6}H(?:\\d{1,6}M(?:\\d{1,6}S)?)?)?|"
             "T\\d{1,6}(?:H(?:\\d{1,6}M(?:\\d{1,6}S)?)?|M(?:\\d{1,6}S)?|S))"},
      Format{"uri",
             "[a-z][a-z0-9+-]{0,15}://[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?"
             "(?::[1-9]\\d{0,3})?(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]{0,256}){0,32}"
             "(?:\\?[A-Za-z0-9._~!$&'()*+,;=:@/?-]{0,256})?"
             "(?:#[A-Za-z0-9._~!$&'()*+,;=:@/?-]{0,256})?"},
  };
  const auto found = std::find_if(kOthers.begin(), kOthers.end(),
                                  [&](const Format& format) { return format.name == name; });
  if (found == kOthers.end()) return std::nullopt;
  return std::string(found->pattern);
}

// Formats that say how a text is shown or used, not what it is.
bool restricts_nothing(std::string_view format) {
  static constexpr std::array kFree = {"password", "path", "file-path", "directory-path"};
  return std::find(kFree.begin(), kFree.end(), format) != kFree.end();
}

}  // namespace

Result<NodeId> SchemaCompiler::compile_string(const SchemaPlace& place) {
  MIXTRAL_TRY(const auto min, count_keyword(place, "minLength"));
  MIXTRAL_TRY(const auto max, count_keyword(place, "maxLength"));
  const Json* format = place.find("format");
  const Json* pattern = place.find("pattern");
  if (format != nullptr && !format->is_string()) return place.bad("format", "expected a string");
  if (pattern != nullptr && !pattern->is_string()) return place.bad("pattern", "expected a string");
  if (format != nullptr && restricts_nothing(format->get<std::string>())) format = nullptr;
  if (format == nullptr && pattern == nullptr) {
    return json_.string(min.value_or(0), max.value_or(kUnbounded));
  }
  if (format != nullptr && pattern != nullptr) return place.unsupported("format", "beside pattern");

  std::string text;
  const std::string_view keyword = format != nullptr ? "format" : "pattern";
  if (format != nullptr) {
    const auto of_format = format_pattern(format->get_ref<const std::string&>());
    if (!of_format) return place.unsupported("format", in_quotes(format->get<std::string>()));
    text = *of_format;
  } else {
    text = pattern->get<std::string>();
  }
  const RegexPlace where = format != nullptr ? RegexPlace::kWholeText : RegexPlace::kSomewhere;
  auto match = parse_regex(text, where, TextForm::kJsonString, rules_);
  if (!match) return with_context(match.error(), fmt::format("{}/{}", place.pointer, keyword));
  if (min.value_or(0) > match->length.min) {
    return place.unsupported("minLength",
                             fmt::format("beside {}, unless that implies it", keyword));
  }
  if (max.value_or(kUnbounded) < match->length.max) {
    return place.unsupported("maxLength",
                             fmt::format("beside {}, unless that implies it", keyword));
  }
  return json_.quoted_node(match->node);
}

}  // namespace mixtral
