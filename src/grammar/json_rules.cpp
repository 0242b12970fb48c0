#include "grammar/json_rules.h"

#include <map>
#include <vector>

#include "grammar/character_set.h"
#include "text/utf8.h"

namespace mixtral {
namespace {

ByteSet bytes_of(std::string_view members) {
  ByteSet set;
  for (const char c : members) set.add(static_cast<uint8_t>(c));
  return set;
}

ByteSet digits_from(char first, char last = '9') {
  ByteSet set;
  set.add_range(static_cast<uint8_t>(first), static_cast<uint8_t>(last));
  return set;
}

}  // namespace

JsonRules::JsonRules(GrammarRules& rules) : rules_(rules) {
  const NodeId blank = rules_.set(bytes_of(" \t"));
  white_space_ = rules_.optional(rules_.alternatives(
      {rules_.literal(" "),
       rules_.sequence({rules_.literal("\n"), rules_.repeat(blank, 0, kMaxIndentation)})}));
  comma_ = rules_.sequence({rules_.literal(","), white_space_});
  colon_ = rules_.sequence({rules_.literal(":"), white_space_});
  const uint32_t rule = rules_.add_rule("JSON value");
  value_ = rules_.reference(rule);
  any_object_ = braced(list(member(string(0, kUnbounded), value_), 0, kUnbounded));
  any_array_ = bracketed(list(value_, 0, kUnbounded));
  rules_.define(rule, rules_.alternatives({any_object_, any_array_, string(0, kUnbounded), number(),
                                           boolean(), null()}));
}

NodeId JsonRules::string_character() {
  const CharacterSet raw = escaped_in_json().complement();
  const NodeId hex = rules_.set(bytes_of("0123456789abcdefABCDEF"));
  const NodeId hex2 = rules_.sequence({hex, hex}), hex3 = rules_.sequence({hex2, hex});
  const NodeId d = rules_.set(bytes_of("dD"));
  // \u with a surrogate is a character only as a pair.
  const NodeId code = rules_.alternatives(
      {rules_.sequence({rules_.set(bytes_of("0123456789abcefABCEF")), hex3}),
       rules_.sequence({d, rules_.set(digits_from('0', '7')), hex2}),
       rules_.sequence({d, rules_.set(bytes_of("89abAB")), hex2, rules_.literal("\\u"), d,
                        rules_.set(bytes_of("cdefCDEF")), hex2})});
  const NodeId escape = rules_.sequence(
      {rules_.literal("\\"), rules_.alternatives({rules_.set(bytes_of("\"\\/bfnrt")),
                                                  rules_.sequence({rules_.literal("u"), code})})});
  return rules_.alternatives({character(raw, TextForm::kPlain, rules_), escape});
}

NodeId JsonRules::string(uint32_t min, uint32_t max) {
  return quoted_node(rules_.repeat(string_character(), min, max));
}

NodeId JsonRules::integer() {
  return rules_.sequence(
      {rules_.optional(rules_.literal("-")),
       rules_.alternatives(
           {rules_.literal("0"), rules_.sequence({rules_.set(digits_from('1')),
                                                  rules_.repeat(rules_.set(digits_from('0')), 0,
                                                                kMaxIntegerDigits - 1)})})});
}

NodeId JsonRules::number() {
  const NodeId digit = rules_.set(digits_from('0'));
  const NodeId fraction =
      rules_.sequence({rules_.literal("."), rules_.repeat(digit, 1, kMaxFractionDigits)});
  const NodeId exponent =
      rules_.sequence({rules_.set(bytes_of("eE")), rules_.optional(rules_.set(bytes_of("+-"))),
                       rules_.repeat(digit, 1, 2)});
  return rules_.sequence({integer(), rules_.optional(fraction), rules_.optional(exponent)});
}

NodeId JsonRules::boolean() { return rules_.one_of({"false", "true"}); }
NodeId JsonRules::null() { return rules_.literal("null"); }

NodeId JsonRules::quoted(std::string_view text) {
  std::vector<NodeId> parts;
  std::string plain;
  while (!text.empty()) {
    const Utf8Character first = first_utf8_character(text);
    if (escaped_in_json().contains(first.code_point)) {
      parts.push_back(rules_.literal(plain));
      plain.clear();
      const CharacterSet one{{first.code_point, first.code_point}};
      parts.push_back(character(one, TextForm::kJsonString, rules_));
    } else {
      plain += text.substr(0, first.size);
    }
    text.remove_prefix(first.size);
  }
  parts.push_back(rules_.literal(plain));
  return quoted_node(rules_.sequence(parts));
}

NodeId JsonRules::quoted_node(NodeId inside) {
  return rules_.sequence({rules_.literal("\""), inside, rules_.literal("\"")});
}

NodeId JsonRules::braced(NodeId inside) {
  return rules_.sequence(
      {rules_.literal("{"), white_space_, inside, white_space_, rules_.literal("}")});
}

NodeId JsonRules::bracketed(NodeId inside) {
  return rules_.sequence(
      {rules_.literal("["), white_space_, inside, white_space_, rules_.literal("]")});
}

NodeId JsonRules::member(NodeId key, NodeId value) { return rules_.sequence({key, colon_, value}); }

NodeId JsonRules::list(NodeId item, uint32_t min, uint32_t max) {
  if (max == 0) return rules_.empty();
  const NodeId rest = rules_.repeat(rules_.sequence({comma_, item}), min == 0 ? 0 : min - 1,
                                    max == kUnbounded ? kUnbounded : max - 1);
  const NodeId whole = rules_.sequence({item, rest});
  return min == 0 ? rules_.optional(whole) : whole;
}

NodeId JsonRules::key_except(std::span<const std::string> names) {
  // A tree of the names' characters; children stand behind their parents.
  struct Branch {
    std::map<char32_t, size_t> next;
    bool is_name = false;
  };
  std::vector<Branch> tree(1);
  for (std::string_view name : names) {
    size_t at = 0;
    while (!name.empty() && tree.size() < kMaxGrammarNodes / 2) {
      const Utf8Character first = first_utf8_character(name);
      const auto [found, added] = tree[at].next.try_emplace(first.code_point, tree.size());
      at = found->second;
      if (added) tree.emplace_back();
      name.remove_prefix(first.size);
    }
    tree[at].is_name = true;
  }
  const auto one = [&](const CharacterSet& set) {
    return character(set, TextForm::kJsonString, rules_);
  };
  const NodeId any_rest = rules_.repeat(one(CharacterSet::all()), 0, kUnbounded);
  std::vector<NodeId> nodes(tree.size());
  for (size_t i = tree.size(); i-- > 0;) {
    std::vector<NodeId> ways;
    CharacterSet taken;
    if (!tree[i].is_name) ways.push_back(rules_.empty());
    for (const auto& [c, child] : tree[i].next) {
      taken.add(c, c);
      ways.push_back(rules_.sequence({one(CharacterSet{{c, c}}), nodes[child]}));
    }
    ways.push_back(rules_.sequence({one(taken.complement()), any_rest}));
    nodes[i] = rules_.alternatives(ways);
  }
  return quoted_node(nodes[0]);
}

}  // namespace mixtral
