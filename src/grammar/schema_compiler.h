// The compiler under parse_json_schema(), whose parts lie in several files.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/character_set.h"
#include "grammar/json_rules.h"
#include "grammar/regex_parser.h"
#include "io/json.h"

namespace mixtral {

/// A schema and where it stands in the document.
struct SchemaPlace {
  const Json& schema;
  std::string pointer;

  SchemaPlace at(std::string_view key) const;
  SchemaPlace at(size_t index) const;
  /// Where `value`, the value of `key`, stands.
  SchemaPlace child(std::string_view key, const Json& value) const;
  /// The value of a keyword, or nullptr.
  const Json* find(std::string_view key) const;
  tl::unexpected<Error> bad(std::string_view key, std::string_view what) const;
  tl::unexpected<Error> unsupported(std::string_view key, std::string_view what) const;
};

/// One use. Recursion in the schema by $ref becomes recursion of rules; recursion here is bounded
/// by the depth of the document (io/json.h).
class SchemaCompiler {
 public:
  SchemaCompiler(const Json& document, GrammarRules& rules)
      : document_(document), rules_(rules), json_(rules) {}
  Result<NodeId> compile_document();

 private:
  Result<NodeId> compile(const SchemaPlace& place);
  Result<NodeId> compile_reference(const SchemaPlace& place);
  Result<NodeId> compile_combination(const SchemaPlace& place, std::string_view keyword);
  Result<NodeId> compile_values(const SchemaPlace& place);
  Result<NodeId> compile_type(const SchemaPlace& place, std::string_view type);
  Result<NodeId> compile_number(const SchemaPlace& place, bool is_integer);
  Result<NodeId> compile_string(const SchemaPlace& place);
  Result<NodeId> compile_array(const SchemaPlace& place);
  Result<NodeId> compile_object(const SchemaPlace& place);

  Status check_keywords(const SchemaPlace& place) const;
  Result<std::vector<std::string>> types(const SchemaPlace& place) const;
  /// An object's property, or what "required" alone names.
  struct Property {
    std::string name;
    NodeId member;
    bool required;
  };
  Result<std::vector<Property>> properties(const SchemaPlace& place,
                                           std::optional<NodeId> additional);
  NodeId members(const std::vector<Property>& properties, std::optional<NodeId> extra_member);
  /// The value that a $ref means.
  Result<SchemaPlace> resolve(const SchemaPlace& place, const std::string& reference) const;
  /// `place`, or what its $ref leads to.
  Result<SchemaPlace> resolved(const SchemaPlace& place) const;
  /// Whether no value is valid by both, as far as it is easy to see.
  Result<bool> are_disjoint(const SchemaPlace& a, const SchemaPlace& b) const;

  const Json& document_;
  GrammarRules& rules_;
  JsonRules json_;
  struct Pending {
    SchemaPlace place;
    uint32_t rule;
  };
  std::map<std::string, uint32_t> rule_by_pointer_;
  std::deque<Pending> pending_;  // referred to, not compiled yet
};

/// A count such as maxItems; nothing if it is absent. Fails if it is no natural number.
Result<std::optional<uint32_t>> count_keyword(const SchemaPlace& place, std::string_view key);

}  // namespace mixtral
