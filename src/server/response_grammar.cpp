#include "server/response_grammar.h"

#include <string>
#include <utility>
#include <vector>

#include "grammar/grammar.h"

namespace mixtral {
namespace {

using Made = Result<Grammar::Pointer>;

// Sets the request's grammar by one field after another; only one of them may ask for something.
class GrammarReader {
 public:
  GrammarReader(Fields& fields, Request& request) : fields_(fields), request_(request) {}

  void take(std::string_view field, Made made) {
    if (!made) return fields_.refuse(field, "{}: {}", field, made.error().message);
    if (request_.grammar != nullptr) {
      return fields_.refuse(field, "{}: another field says already what the answer must be", field);
    }
    request_.grammar = *std::move(made);
  }

  void read_schema(std::string_view field) {
    const Json* schema = fields_.find(field);
    if (schema == nullptr) return;
    take(field,
         Grammar::json_schema(schema->is_string() ? schema->get<std::string>() : schema->dump()));
  }

  void read_text(std::string_view field, Made (*make)(std::string_view)) {
    if (const auto text = fields_.text(field)) take(field, make(*text));
  }

  void read_choice(std::string_view field) {
    const Json* list = fields_.array(field);
    if (list == nullptr) return;
    std::vector<std::string> texts;
    for (const Json& one : *list) {
      if (!one.is_string()) return fields_.refuse(field, "{}: expected texts", field);
      texts.push_back(one.get<std::string>());
    }
    take(field, Grammar::choice(texts));
  }

  void read_response_format() {
    const Json* json = fields_.object("response_format");
    if (json == nullptr) return;
    Fields format(*json, "response_format");
    const auto type = format.choice("type", {"text", "json_object", "json_schema"});
    if (format.good() && !type) format.refuse("type", "response_format.type: missing");
    if (type == "json_object") {
      const Json* schema = format.object("schema");  // llama-server's
      take("response_format",
           schema == nullptr ? Grammar::json_object() : Grammar::json_schema(schema->dump()));
    } else if (type == "json_schema") {
      read_named_schema(format);
    }
    if (!format.good()) fields_.refuse(format.status().error());
  }

 private:
  void read_named_schema(Fields& format) {
    const Json* json = format.object("json_schema");
    if (json == nullptr)
      return format.refuse("json_schema", "response_format.json_schema: missing");
    Fields named(*json, "response_format.json_schema");
    const auto name = named.text("name");
    if (name && !is_client_name(*name))
      named.refuse("name", "response_format.json_schema.name: expected 1 to 64 of a-z A-Z 0-9 _ -");
    named.boolean("strict", false);
    named.ignore({"description"});
    const Json* schema = named.object("schema");
    if (schema == nullptr) named.refuse("schema", "response_format.json_schema.schema: missing");
    if (!named.good()) return format.refuse(named.status().error());
    take("response_format", Grammar::json_schema(schema->dump()));
  }

  Fields& fields_;
  Request& request_;
};

}  // namespace

void read_response_grammar(Fields& fields, Request& request) {
  GrammarReader reader(fields, request);
  reader.read_response_format();
  reader.read_schema("json_schema");
  reader.read_schema("guided_json");
  reader.read_text("guided_regex", Grammar::regex);
  reader.read_text("grammar", Grammar::gbnf);
  reader.read_text("guided_grammar", Grammar::gbnf);
  reader.read_choice("guided_choice");
}

}  // namespace mixtral
