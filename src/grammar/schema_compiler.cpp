#include "grammar/schema_compiler.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "grammar/json_schema.h"
#include "grammar/number_range.h"
#include "io/quoted.h"

namespace mixtral {
namespace {

constexpr size_t kMaxSchemaBytes = 1 << 20;
constexpr uint32_t kMaxCount = 1'000'000;
constexpr size_t kMaxOneOf = 64;  // each is compared with each

// What changes which values are valid and is not handled anywhere.
constexpr std::array kRefused = {
    "not",
    "if",
    "then",
    "else",
    "contains",
    "minContains",
    "maxContains",
    "propertyNames",
    "patternProperties",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "$dynamicRef",
    "$recursiveRef",
    "unevaluatedItems",
    "unevaluatedProperties",
    "additionalItems",
};
// Beside $ref, anyOf, oneOf, allOf, enum and const these alone would say nothing new.
constexpr std::array kConstraints = {
    "$ref",
    "anyOf",
    "oneOf",
    "allOf",
    "enum",
    "const",
    "type",
    "properties",
    "required",
    "items",
    "prefixItems",
    "additionalProperties",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "uniqueItems",
    "minProperties",
    "maxProperties",
};

std::string escaped_for_pointer(std::string_view key) {
  std::string escaped;
  for (const char c : key) {
    if (c == '~' || c == '/') {
      escaped += c == '~' ? "~0" : "~1";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

// One token of a pointer in a URI fragment.
std::optional<std::string> unescaped(std::string_view token) {
  std::string text;
  for (size_t i = 0; i < token.size(); ++i) {
    if (token[i] == '~') {
      if (++i == token.size() || (token[i] != '0' && token[i] != '1')) return std::nullopt;
      text += token[i] == '0' ? '~' : '/';
    } else if (token[i] == '%') {
      unsigned value = 0;
      if (i + 2 >= token.size()) return std::nullopt;
      const char* end = token.data() + i + 3;
      if (std::from_chars(token.data() + i + 1, end, value, 16).ptr != end) return std::nullopt;
      text += static_cast<char>(value);
      i += 2;
    } else {
      text += token[i];
    }
  }
  return text;
}

Status only_beside(const SchemaPlace& place, std::string_view keyword,
                   std::initializer_list<std::string_view> allowed) {
  for (const std::string_view other : kConstraints) {
    if (other == keyword || place.find(other) == nullptr) continue;
    if (std::find(allowed.begin(), allowed.end(), other) != allowed.end()) continue;
    return place.unsupported(other, fmt::format("beside {}", keyword));
  }
  return {};
}

bool has_type(const Json& value, std::string_view type) {
  if (type == "integer") {
    return value.is_number_integer() ||
           (value.is_number() && std::floor(value.get<double>()) == value.get<double>());
  }
  if (type == "number") return value.is_number();
  return value.type_name() == type;
}

}  // namespace

SchemaPlace SchemaPlace::at(std::string_view key) const { return child(key, *find(key)); }

SchemaPlace SchemaPlace::child(std::string_view key, const Json& value) const {
  return {value, fmt::format("{}/{}", pointer, escaped_for_pointer(key))};
}

SchemaPlace SchemaPlace::at(size_t index) const {
  return {schema[index], fmt::format("{}/{}", pointer, index)};
}

const Json* SchemaPlace::find(std::string_view key) const {
  if (!schema.is_object()) return nullptr;
  const auto found = schema.find(std::string(key));
  return found == schema.end() ? nullptr : &*found;
}

tl::unexpected<Error> SchemaPlace::bad(std::string_view key, std::string_view what) const {
  return fail(ErrorCode::kBadInput, "{}/{}: {}", pointer, escaped_for_pointer(key), what);
}

tl::unexpected<Error> SchemaPlace::unsupported(std::string_view key, std::string_view what) const {
  return fail(ErrorCode::kUnsupported, "{}/{}: not supported{}{}", pointer,
              escaped_for_pointer(key), what.empty() ? "" : ": ", what);
}

Result<std::optional<uint32_t>> count_keyword(const SchemaPlace& place, std::string_view key) {
  const Json* value = place.find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number() || !has_type(*value, "integer") || value->get<double>() < 0) {
    return place.bad(key, "expected a natural number");
  }
  if (value->get<double>() > kMaxCount) {
    return fail(ErrorCode::kTooLarge, "{}/{}: above {}", place.pointer, key, kMaxCount);
  }
  return static_cast<uint32_t>(value->get<double>());
}

Result<NodeId> parse_json_schema(std::string_view text, GrammarRules& rules) {
  if (text.size() > kMaxSchemaBytes) {
    return fail(ErrorCode::kTooLarge, "the schema has {} bytes, at most {} are supported",
                text.size(), kMaxSchemaBytes);
  }
  MIXTRAL_TRY(const Json document, parse_json(text, "schema"));
  return SchemaCompiler(document, rules).compile_document();
}

Result<NodeId> SchemaCompiler::compile_document() {
  const uint32_t root = rules_.add_rule("#");
  rule_by_pointer_["#"] = root;
  pending_.push_back({{document_, "#"}, root});
  while (!pending_.empty() && !rules_.too_large()) {
    const Pending next = pending_.front();
    pending_.pop_front();
    MIXTRAL_TRY(const NodeId body, compile(next.place));
    rules_.define(next.rule, body);
  }
  return rules_.reference(root);
}

Result<NodeId> SchemaCompiler::compile(const SchemaPlace& place) {
  if (place.schema.is_boolean()) {
    return place.schema.get<bool>() ? json_.value() : rules_.nothing();
  }
  if (!place.schema.is_object()) {
    return fail(ErrorCode::kBadInput, "{}: a schema is an object, true or false", place.pointer);
  }
  MIXTRAL_TRY(check_keywords(place));
  if (place.find("$ref") != nullptr) return compile_reference(place);
  for (const std::string_view keyword : {"anyOf", "oneOf", "allOf"}) {
    if (place.find(keyword) != nullptr) return compile_combination(place, keyword);
  }
  if (place.find("enum") != nullptr || place.find("const") != nullptr) {
    return compile_values(place);
  }
  MIXTRAL_TRY(const auto names, types(place));
  if (names.empty()) return json_.value();
  std::vector<NodeId> ways;
  for (const std::string& name : names) {
    MIXTRAL_TRY(const NodeId way, compile_type(place, name));
    ways.push_back(way);
  }
  return rules_.alternatives(ways);
}

Status SchemaCompiler::check_keywords(const SchemaPlace& place) const {
  for (const std::string_view refused : kRefused) {
    if (place.find(refused) != nullptr) return place.unsupported(refused, "");
  }
  return {};
}

Result<SchemaPlace> SchemaCompiler::resolve(const SchemaPlace& place,
                                            const std::string& reference) const {
  if (reference != "#" && !reference.starts_with("#/")) {
    return place.unsupported("$ref", fmt::format("{}, which does not begin with #/ as places of "
                                                 "this document do",
                                                 in_quotes(reference)));
  }
  const Json* target = &document_;
  std::string_view rest = std::string_view(reference).substr(1);
  while (!rest.empty() && target != nullptr) {
    rest.remove_prefix(1);
    const auto token = unescaped(rest.substr(0, rest.find('/')));
    rest.remove_prefix(std::min(rest.find('/'), rest.size()));
    if (!token) {
      target = nullptr;
    } else if (target->is_object()) {
      const auto found = target->find(*token);
      target = found == target->end() ? nullptr : &*found;
    } else {
      size_t index = 0;
      const char* end = token->data() + token->size();
      const auto read = std::from_chars(token->data(), end, index);
      const bool there =
          target->is_array() && read.ec == std::errc() && read.ptr == end && index < target->size();
      target = there ? &(*target)[index] : nullptr;
    }
  }
  if (target == nullptr) {
    return place.bad("$ref", fmt::format("there is no {}", in_quotes(reference)));
  }
  return SchemaPlace{*target, reference};
}

Result<NodeId> SchemaCompiler::compile_reference(const SchemaPlace& place) {
  MIXTRAL_TRY(only_beside(place, "$ref", {}));
  const Json& reference = *place.find("$ref");
  if (!reference.is_string()) return place.bad("$ref", "expected a string");
  const auto& text = reference.get_ref<const std::string&>();
  const auto known = rule_by_pointer_.find(text);
  if (known != rule_by_pointer_.end()) return rules_.reference(known->second);
  MIXTRAL_TRY(const SchemaPlace target, resolve(place, text));
  const uint32_t rule = rules_.add_rule(text);
  rule_by_pointer_.emplace(text, rule);
  pending_.push_back({target, rule});
  return rules_.reference(rule);
}

Result<NodeId> SchemaCompiler::compile_combination(const SchemaPlace& place,
                                                   std::string_view keyword) {
  MIXTRAL_TRY(only_beside(place, keyword, {}));
  const SchemaPlace list = place.at(keyword);
  if (!list.schema.is_array() || list.schema.empty()) {
    return place.bad(keyword, "expected an array of schemas, not empty");
  }
  if (keyword == "oneOf" && list.schema.size() > kMaxOneOf) {
    return fail(ErrorCode::kTooLarge, "{}/oneOf: more than {} schemas", place.pointer, kMaxOneOf);
  }
  if (keyword == "allOf" && list.schema.size() > 1) {
    return place.unsupported(keyword, "of more than one schema");
  }
  std::vector<NodeId> ways;
  for (size_t i = 0; i < list.schema.size(); ++i) {
    for (size_t other = 0; keyword == "oneOf" && other < i; ++other) {
      MIXTRAL_TRY(const bool apart, are_disjoint(list.at(other), list.at(i)));
      if (!apart) {
        return place.unsupported(keyword, fmt::format("a value may be valid by both number {} and "
                                                      "number {}; use anyOf",
                                                      other, i));
      }
    }
    MIXTRAL_TRY(const NodeId way, compile(list.at(i)));
    ways.push_back(way);
  }
  return rules_.alternatives(ways);
}

Result<NodeId> SchemaCompiler::compile_values(const SchemaPlace& place) {
  const bool constant = place.find("const") != nullptr;
  const std::string_view keyword = constant ? "const" : "enum";
  MIXTRAL_TRY(only_beside(place, keyword, {"type", "enum"}));
  MIXTRAL_TRY(const auto names, types(place));
  const Json* listed = place.find("enum");
  if (listed != nullptr && !listed->is_array()) return place.bad("enum", "expected an array");
  Json values = Json::array();
  if (constant) {
    const Json& value = *place.find("const");
    const bool possible =
        listed == nullptr || std::find(listed->begin(), listed->end(), value) != listed->end();
    if (possible) values.push_back(value);
  } else {
    values = *listed;
  }
  std::vector<std::string> texts;
  for (const Json& value : values) {
    const bool fits = names.empty() || std::any_of(names.begin(), names.end(), [&](const auto& n) {
                        return has_type(value, n);
                      });
    if (fits) texts.push_back(value.dump());
  }
  if (texts.empty()) return place.bad(keyword, "no value is left");
  return rules_.one_of(std::move(texts));
}

Result<std::vector<std::string>> SchemaCompiler::types(const SchemaPlace& place) const {
  static constexpr std::array kTypes = {"object",  "array",   "string", "number",
                                        "integer", "boolean", "null"};
  std::vector<std::string> names;
  if (const Json* type = place.find("type")) {
    const Json list = type->is_array() ? *type : Json::array({*type});
    for (const Json& name : list) {
      const bool known =
          name.is_string() && std::find(kTypes.begin(), kTypes.end(), name) != kTypes.end();
      if (!known) return place.bad("type", fmt::format("{} is no type", name.dump()));
      names.push_back(name.get<std::string>());
    }
    if (names.empty()) return place.bad("type", "no type is listed");
    return names;
  }
  // Without a type, keywords speak of one type's values only and other values are all valid: those
  // of the types spoken of are enough.
  struct Group {
    std::string_view type;
    std::vector<std::string_view> keywords;
  };
  static const std::array groups = {
      Group{"object",
            {"properties", "required", "additionalProperties", "minProperties", "maxProperties"}},
      Group{"array", {"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}},
      Group{"string", {"minLength", "maxLength", "pattern", "format"}},
      Group{"number",
            {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}}};
  for (const Group& group : groups) {
    const bool spoken_of =
        std::any_of(group.keywords.begin(), group.keywords.end(),
                    [&](std::string_view keyword) { return place.find(keyword) != nullptr; });
    if (spoken_of) names.emplace_back(group.type);
  }
  return names;
}

Result<NodeId> SchemaCompiler::compile_type(const SchemaPlace& place, std::string_view type) {
  if (type == "object") return compile_object(place);
  if (type == "array") return compile_array(place);
  if (type == "string") return compile_string(place);
  if (type == "boolean") return json_.boolean();
  if (type == "null") return json_.null();
  return compile_number(place, type == "integer");
}

Result<NodeId> SchemaCompiler::compile_number(const SchemaPlace& place, bool is_integer) {
  if (const Json* factor = place.find("multipleOf")) {
    if (!factor->is_number() || factor->get<double>() <= 0) {
      return place.bad("multipleOf", "expected a number above 0");
    }
    if (factor->get<double>() != 1) return place.unsupported("multipleOf", "other than 1");
    is_integer = true;
  }
  NumberRange range;
  struct Keyword {
    std::string_view name;
    std::optional<Bound>& bound;
    bool exclusive;
  };
  for (const Keyword& keyword :
       {Keyword{"minimum", range.lowest, false}, Keyword{"maximum", range.highest, false},
        Keyword{"exclusiveMinimum", range.lowest, true},
        Keyword{"exclusiveMaximum", range.highest, true}}) {
    const Json* value = place.find(keyword.name);
    if (value == nullptr) continue;
    if (!value->is_number()) return place.bad(keyword.name, "expected a number");
    if (keyword.bound)
      return place.unsupported(keyword.name, "beside the other bound of this side");
    auto decimal = parse_decimal(value->dump());
    if (!decimal) {
      return with_context(decimal.error(), fmt::format("{}/{}", place.pointer, keyword.name));
    }
    keyword.bound = Bound{*decimal, keyword.exclusive};
  }
  if (!range.lowest && !range.highest) return is_integer ? json_.integer() : json_.number();
  return is_integer ? integer_in_range(range, rules_) : number_in_range(range, rules_);
}

}  // namespace mixtral
