// Objects and arrays of a schema.
#include <algorithm>
#include <set>

#include "grammar/schema_compiler.h"
#include "io/quoted.h"

namespace mixtral {

Result<NodeId> SchemaCompiler::compile_array(const SchemaPlace& place) {
  if (const Json* unique = place.find("uniqueItems")) {
    if (!unique->is_boolean()) return place.bad("uniqueItems", "expected true or false");
    if (unique->get<bool>()) return place.unsupported("uniqueItems", "");
  }
  MIXTRAL_TRY(const auto min_items, count_keyword(place, "minItems"));
  MIXTRAL_TRY(const auto max_items, count_keyword(place, "maxItems"));
  const uint32_t min = min_items.value_or(0), max = max_items.value_or(kUnbounded);
  if (min > max) return place.bad("minItems", fmt::format("{} is above maxItems", min));
  NodeId item = json_.value();
  if (const Json* items = place.find("items")) {
    if (items->is_array()) return place.unsupported("items", "an array; use prefixItems");
    MIXTRAL_TRY(item, compile(place.at("items")));
  }
  const Json* prefix = place.find("prefixItems");
  if (prefix == nullptr) return json_.bracketed(json_.list(item, min, max));
  if (!prefix->is_array()) return place.bad("prefixItems", "expected an array");

  // From the last item to the first: each one either ends the array or is followed by the rest.
  const auto n_prefix = static_cast<uint32_t>(prefix->size());
  const SchemaPlace list = place.at("prefixItems");
  NodeId rest = rules_.empty();
  if (max > n_prefix) {
    rest =
        rules_.repeat(rules_.sequence({json_.comma(), item}), min > n_prefix ? min - n_prefix : 0,
                      max == kUnbounded ? kUnbounded : max - n_prefix);
  }
  if (n_prefix == 0) return json_.bracketed(json_.list(item, min, max));
  for (uint32_t i = std::min(n_prefix, max); i-- > 0;) {
    MIXTRAL_TRY(const NodeId here, compile(list.at(i)));
    rest = rules_.sequence({i == 0 ? rules_.empty() : json_.comma(), here, rest});
    if (i >= min) rest = rules_.optional(rest);
  }
  return json_.bracketed(rest);
}

Result<std::vector<SchemaCompiler::Property>> SchemaCompiler::properties(
    const SchemaPlace& place, std::optional<NodeId> additional) {
  std::vector<Property> all;
  if (const Json* listed = place.find("properties")) {
    if (!listed->is_object()) return place.bad("properties", "expected an object");
    const SchemaPlace list = place.at("properties");
    for (const auto& [name, schema] : listed->items()) {
      MIXTRAL_TRY(const NodeId value, compile(list.child(name, schema)));
      all.push_back({name, json_.member(json_.quoted(name), value), false});
    }
  }
  const Json* required = place.find("required");
  if (required == nullptr) return all;
  if (!required->is_array()) return place.bad("required", "expected an array");
  std::map<std::string_view, size_t> by_name;
  for (size_t i = 0; i < all.size(); ++i) by_name.emplace(all[i].name, i);
  std::set<std::string> others;
  for (const Json& name : *required) {
    if (!name.is_string()) return place.bad("required", "expected names");
    const auto found = by_name.find(name.get_ref<const std::string&>());
    if (found != by_name.end()) {
      all[found->second].required = true;
    } else {
      others.insert(name.get<std::string>());
    }
  }
  for (const std::string& name : others) {
    if (!additional) {
      return place.bad("required", fmt::format("{} is no property and additionalProperties forbids "
                                               "others",
                                               in_quotes(name)));
    }
    all.push_back({name, json_.member(json_.quoted(name), *additional), true});
  }
  return all;
}

// In the order of the schema. Built from the last property to the first, in two forms: with and
// without members before it.
NodeId SchemaCompiler::members(const std::vector<Property>& properties,
                               std::optional<NodeId> extra_member) {
  NodeId later = rules_.empty(), first = rules_.empty();
  if (extra_member) {
    later = rules_.repeat(rules_.sequence({json_.comma(), *extra_member}), 0, kUnbounded);
    first = rules_.optional(rules_.sequence({*extra_member, later}));
  }
  for (size_t i = properties.size(); i-- > 0;) {
    const Property& property = properties[i];
    const NodeId begun = rules_.sequence({property.member, later});
    const NodeId added = rules_.sequence({json_.comma(), property.member, later});
    first = property.required ? begun : rules_.alternatives({begun, first});
    later = property.required ? added : rules_.alternatives({added, later});
  }
  return first;
}

Result<NodeId> SchemaCompiler::compile_object(const SchemaPlace& place) {
  MIXTRAL_TRY(const auto min, count_keyword(place, "minProperties"));
  MIXTRAL_TRY(const auto max, count_keyword(place, "maxProperties"));
  const Json* additional = place.find("additionalProperties");
  const bool names_any = place.find("properties") != nullptr && !place.find("properties")->empty();
  std::optional<NodeId> extra;  // the value of properties that are not listed
  if (additional != nullptr && !(additional->is_boolean() && !additional->get<bool>())) {
    MIXTRAL_TRY(extra, compile(place.at("additionalProperties")));
  }
  if (additional == nullptr) extra = json_.value();
  MIXTRAL_TRY(const auto listed, properties(place, extra));
  // Listed properties without a word about others: others are valid, but nobody asked for them.
  if (additional == nullptr && names_any) extra.reset();

  const auto n_required = static_cast<uint32_t>(
      std::count_if(listed.begin(), listed.end(), [](const auto& p) { return p.required; }));
  if (listed.empty()) {
    if (!extra) {
      if (min.value_or(0) > 0) return place.bad("minProperties", "no property is allowed");
      return json_.braced(rules_.empty());
    }
    // A name may come twice and then counts once.
    if (min.value_or(0) > 1) return place.unsupported("minProperties", "above 1");
    const bool any = additional == nullptr || additional->is_boolean();
    if (any && !min && !max) return json_.any_object();
    const NodeId member = json_.member(json_.string(0, kUnbounded), *extra);
    return json_.braced(json_.list(member, min.value_or(0), max.value_or(kUnbounded)));
  }
  if (min.value_or(0) > n_required) {
    return place.unsupported("minProperties", "above the number of required properties");
  }
  if (max && (extra || *max < listed.size())) {
    return place.unsupported("maxProperties", "below the number of properties");
  }
  std::optional<NodeId> extra_member;
  if (extra) {
    std::vector<std::string> names;
    names.reserve(listed.size());
    for (const Property& property : listed) names.push_back(property.name);
    extra_member = json_.member(json_.key_except(names), *extra);
  }
  return json_.braced(members(listed, extra_member));
}

}  // namespace mixtral
