#include "server/response_grammar.h"

namespace mixtral {

void read_response_grammar(Fields& fields, Request&) {
  if (const Json* format = fields.object("response_format")) {
    Fields inner(*format, "response_format");
    const auto type = inner.choice("type", {"text", "json_object", "json_schema"});
    if (!inner.good()) {
      fields.refuse(inner.status().error());
    } else if (!type) {
      fields.refuse("response_format", "response_format: no type");
    } else if (*type != "text") {
      fields.refuse("response_format", "response_format {} is not supported yet", *type);
    }
  }
  for (const char* name : {"grammar", "json_schema", "guided_json", "guided_regex", "guided_choice",
                           "guided_grammar"}) {
    if (fields.find(name) != nullptr) fields.refuse(name, "{} is not supported yet", name);
  }
}

}  // namespace mixtral
