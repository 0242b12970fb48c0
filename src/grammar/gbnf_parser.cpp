#include "grammar/gbnf_parser.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "grammar/character_set.h"
#include "grammar/regex_classes.h"
#include "io/quoted.h"
#include "text/utf8.h"

namespace mixtral {
namespace {

constexpr size_t kMaxTextBytes = 1 << 20;
constexpr size_t kMaxOpenGroups = 250;
constexpr uint32_t kMaxCount = 1'000'000;

bool in_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

// One pass over the text with a stack of open groups, the outermost being the rule's body.
class GbnfParser {
 public:
  GbnfParser(std::string_view text, GrammarRules& rules) : reader_{text}, rules_(rules) {}

  Result<NodeId> parse() {
    if (reader_.text.size() > kMaxTextBytes) {
      return fail(ErrorCode::kTooLarge, "the grammar has {} bytes, at most {} are supported",
                  reader_.text.size(), kMaxTextBytes);
    }
    skip_space();
    while (!reader_.done()) MIXTRAL_TRY(rule());
    for (const auto& [name, rule] : rules_by_name_) {
      if (!rule.defined) return error_at(rule.first_use, "rule {} is not defined", name);
    }
    const auto root = rules_by_name_.find("root");
    if (root == rules_by_name_.end()) return error_at(reader_.at, "there is no rule {}", "root");
    return rules_.reference(root->second.number);
  }

 private:
  struct Rule {
    uint32_t number;
    size_t first_use;
    bool defined;
  };
  struct Group {
    std::vector<NodeId> alternatives, sequence;
  };

  std::string place(size_t at) const {
    const std::string_view before = reader_.text.substr(0, at);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const size_t line_begin = before.rfind('\n') + 1;  // npos + 1 == 0
    return fmt::format("line {}, column {}", line, at - line_begin + 1);
  }
  tl::unexpected<Error> bad(std::string_view what) const {
    return fail(ErrorCode::kBadInput, "{}: {}", place(reader_.at), what);
  }
  tl::unexpected<Error> error_at(size_t at, fmt::format_string<std::string> format,
                                 std::string_view name) const {
    return fail(ErrorCode::kBadInput, "{}: {}", place(at), fmt::format(format, in_quotes(name)));
  }
  // Errors of the reader shared with regular expressions name an offset in the whole text.
  template <class Value>
  Result<Value> placed(Result<Value> result) const {
    if (!result)
      result.error().message = fmt::format("{}: {}", place(reader_.at), result.error().message);
    return result;
  }

  void skip_space() {
    while (!reader_.done()) {
      if (reader_.peek() == '#') {
        reader_.at = std::min(reader_.text.find('\n', reader_.at), reader_.text.size());
      } else if (std::string_view(" \t\r\n").find(reader_.peek()) != std::string_view::npos) {
        ++reader_.at;
      } else {
        return;
      }
    }
  }

  std::string name() {
    const size_t begin = reader_.at;
    while (!reader_.done() && in_name(reader_.peek())) ++reader_.at;
    return std::string(reader_.text.substr(begin, reader_.at - begin));
  }

  Rule& rule_of(const std::string& name, size_t at) {
    const auto [found, added] = rules_by_name_.try_emplace(name, Rule{0, at, false});
    if (added) found->second.number = rules_.add_rule(name);
    return found->second;
  }

  Status rule() {
    const size_t begin = reader_.at;
    const std::string of = name();
    if (of.empty()) return bad("expected the name of a rule");
    skip_space();
    if (!reader_.skip("::=")) return bad("expected ::=");
    Rule& rule = rule_of(of, begin);
    if (rule.defined) return error_at(begin, "rule {} is defined twice", of);
    rule.defined = true;
    open_.assign(1, {});
    skip_space();
    while (!at_end_of_rule()) {
      MIXTRAL_TRY(part());
      skip_space();
    }
    if (open_.size() > 1) return bad("a group is not closed");
    rules_.define(rule.number, closed_group());
    return {};
  }

  // The next rule's name and ::= end a rule, wherever the lines end.
  bool at_end_of_rule() {
    if (reader_.done()) return true;
    const size_t here = reader_.at;
    bool next_rule = !name().empty();
    if (next_rule) {
      skip_space();
      next_rule = reader_.rest().starts_with("::=");
    }
    reader_.at = here;
    return next_rule;
  }

  NodeId closed_group() {
    Group& group = open_.back();
    group.alternatives.push_back(rules_.sequence(group.sequence));
    const NodeId node = rules_.alternatives(group.alternatives);
    open_.pop_back();
    return node;
  }

  Status part() {
    const char c = reader_.peek();
    if (in_name(c)) {
      const size_t at = reader_.at;
      return quantified(rules_.reference(rule_of(name(), at).number));
    }
    switch (c) {
      case '"': return literal();
      case '[':
      case '.': {
        if (reader_.skip(".")) {
          return quantified(character(CharacterSet::all(), TextForm::kPlain, rules_));
        }
        MIXTRAL_TRY(const CharacterSet set, placed(read_characters(reader_)));
        return quantified(character(set, TextForm::kPlain, rules_));
      }
      case '|':
        ++reader_.at;
        open_.back().alternatives.push_back(rules_.sequence(open_.back().sequence));
        open_.back().sequence.clear();
        return {};
      case '(':
        if (open_.size() > kMaxOpenGroups) {
          return fail(ErrorCode::kTooLarge, "{}: groups nested deeper than {} levels",
                      place(reader_.at), kMaxOpenGroups);
        }
        ++reader_.at;
        open_.emplace_back();
        return {};
      case ')':
        if (open_.size() == 1) return bad("no group is open here");
        ++reader_.at;
        return quantified(closed_group());
      case '<':
      case '!':
        return fail(ErrorCode::kUnsupported, "{}: not supported: tokens by number or name",
                    place(reader_.at));
      default: break;
    }
    return bad("expected a rule's name, a text, a class or a group");
  }

  Status literal() {
    ++reader_.at;
    std::string text;
    while (!reader_.skip("\"")) {
      if (reader_.done() || reader_.peek() == '\n') return bad("a text is not closed");
      MIXTRAL_TRY(const char32_t c, placed(read_character(reader_)));
      append_utf8(c, text);
    }
    return quantified(rules_.literal(text));
  }

  Status quantified(NodeId node) {
    skip_space();
    while (true) {
      uint32_t min = 0, max = kUnbounded;
      if (reader_.skip("?")) {
        max = 1;
      } else if (reader_.skip("+")) {
        min = 1;
      } else if (reader_.skip("{")) {
        MIXTRAL_TRY(min, count());
        max = min;
        if (reader_.skip(",")) {
          skip_space();
          max = kUnbounded;
          if (!reader_.rest().starts_with("}")) {
            MIXTRAL_TRY(max, count());
          }
        }
        if (!reader_.skip("}")) return bad("expected '}' after the counts");
        if (max < min) return bad("the larger count stands first");
      } else if (!reader_.skip("*")) {
        break;
      }
      node = rules_.repeat(node, min, max);
    }
    open_.back().sequence.push_back(node);
    return {};
  }

  Result<uint32_t> count() {
    skip_space();
    const size_t begin = reader_.at;
    uint32_t value = 0;
    while (!reader_.done() && reader_.peek() >= '0' && reader_.peek() <= '9') {
      value = 10 * value + static_cast<uint32_t>(reader_.peek() - '0');
      ++reader_.at;
      if (value > kMaxCount) {
        return fail(ErrorCode::kTooLarge, "{}: a count above {}", place(begin), kMaxCount);
      }
    }
    if (reader_.at == begin) return bad("expected a count");
    skip_space();
    return value;
  }

  PatternReader reader_;
  GrammarRules& rules_;
  std::map<std::string, Rule> rules_by_name_;
  std::vector<Group> open_;
};

}  // namespace

Result<NodeId> parse_gbnf(std::string_view text, GrammarRules& rules) {
  return GbnfParser(text, rules).parse();
}

}  // namespace mixtral
