// Optional fields of JSON objects whose shape is not trusted.
#pragma once

#include <span>
#include <string>

#include "io/json.h"

namespace mixtral {

/// nullptr if `object` is no object or has no such key.
const Json* field(const Json& object, const char* key);
/// "" unless the field is a string.
std::string string_field(const Json& object, const char* key);
/// The members of a list; none unless `list` is one.
std::span<const Json> elements(const Json* list);
/// `otherwise` unless the field is true or false.
bool bool_field(const Json& object, const char* key, bool otherwise);

}  // namespace mixtral
