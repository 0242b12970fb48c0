// oneOf is anyOf where no value is valid by two schemas.
#include <algorithm>
#include <set>

#include "grammar/schema_compiler.h"

namespace mixtral {
namespace {

constexpr int kMaxReferences = 64;

// The values of const or enum; nothing if there is neither.
std::optional<Json> listed_values(const SchemaPlace& place) {
  if (const Json* value = place.find("const")) return Json::array({*value});
  const Json* values = place.find("enum");
  if (values == nullptr || !values->is_array()) return std::nullopt;
  return *values;
}

// Objects and arrays count as shared: they may be written in more than one way.
bool share_a_value(const Json& a, const Json& b) {
  return std::any_of(a.begin(), a.end(), [&](const Json& value) {
    return std::any_of(b.begin(), b.end(), [&](const Json& other) {
      return value == other || (value.is_structured() && other.is_structured());
    });
  });
}

bool is_required(const SchemaPlace& place, const std::string& name) {
  const Json* required = place.find("required");
  return required != nullptr && required->is_array() &&
         std::find(required->begin(), required->end(), name) != required->end();
}

}  // namespace

Result<SchemaPlace> SchemaCompiler::resolved(const SchemaPlace& place) const {
  const Json* schema = &place.schema;
  std::string pointer = place.pointer;
  for (int i = 0; i < kMaxReferences; ++i) {
    const SchemaPlace here{*schema, pointer};
    const Json* reference = here.find("$ref");
    if (reference == nullptr || !reference->is_string()) return here;
    MIXTRAL_TRY(const SchemaPlace next, resolve(here, reference->get<std::string>()));
    schema = &next.schema;
    pointer = next.pointer;
  }
  return place.unsupported("$ref", "a chain of more than 64 references");
}

Result<bool> SchemaCompiler::are_disjoint(const SchemaPlace& left, const SchemaPlace& right) const {
  MIXTRAL_TRY(const SchemaPlace a, resolved(left));
  MIXTRAL_TRY(const SchemaPlace b, resolved(right));
  const auto a_values = listed_values(a), b_values = listed_values(b);
  if (a_values && b_values && !share_a_value(*a_values, *b_values)) return true;

  if (a.find("type") != nullptr && b.find("type") != nullptr) {
    MIXTRAL_TRY(const auto a_types, types(a));
    MIXTRAL_TRY(const auto b_types, types(b));
    const auto widened = [](const std::vector<std::string>& names) {
      std::set<std::string_view> all;
      for (const std::string_view name : names) {
        all.insert(name == "integer" ? std::string_view("number") : name);
      }
      return all;
    };
    const auto a_set = widened(a_types), b_set = widened(b_types);
    const bool shared = std::any_of(a_set.begin(), a_set.end(),
                                    [&](std::string_view name) { return b_set.contains(name); });
    if (!shared) return true;
    if (a_set != std::set<std::string_view>{"object"} || a_set != b_set) return false;
  }
  // Two objects that a property tells apart.
  const Json* properties = a.find("properties");
  const Json* others = b.find("properties");
  const bool objects = properties != nullptr && properties->is_object() && others != nullptr &&
                       others->is_object() && a.find("type") != nullptr &&
                       b.find("type") != nullptr;
  if (!objects) return false;
  for (const auto& [name, schema] : properties->items()) {
    const auto other = others->find(name);
    if (other == others->end() || !is_required(a, name) || !is_required(b, name)) continue;
    const auto values = listed_values({schema, ""}), other_values = listed_values({*other, ""});
    if (values && other_values && !share_a_value(*values, *other_values)) return true;
  }
  return false;
}

}  // namespace mixtral
