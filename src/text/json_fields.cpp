#include "text/json_fields.h"

namespace mixtral {

const Json* field(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

std::string string_field(const Json& object, const char* key) {
  const Json* value = field(object, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

std::span<const Json> elements(const Json* list) {
  if (list == nullptr || !list->is_array()) return {};
  return list->get_ref<const Json::array_t&>();
}

bool bool_field(const Json& object, const char* key, bool otherwise) {
  const Json* value = field(object, key);
  return value != nullptr && value->is_boolean() ? value->get<bool>() : otherwise;
}

}  // namespace mixtral
