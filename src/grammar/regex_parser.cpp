#include "grammar/regex_parser.h"

#include <algorithm>
#include <optional>

#include "grammar/regex_classes.h"
#include "io/quoted.h"
#include "text/utf8.h"

namespace mixtral {
namespace {

constexpr size_t kMaxPatternBytes = 65'536;
constexpr size_t kMaxOpenGroups = 250;
constexpr uint32_t kMaxCount = 1'000'000;

uint32_t times(uint32_t a, uint32_t b) {
  if (a == 0 || b == 0) return 0;
  if (a == kUnbounded || b == kUnbounded) return kUnbounded;
  return static_cast<uint32_t>(std::min<uint64_t>(uint64_t{a} * b, kUnbounded));
}
uint32_t plus(uint32_t a, uint32_t b) {
  return static_cast<uint32_t>(std::min<uint64_t>(uint64_t{a} + b, kUnbounded));
}

// One pass over the pattern with a stack of open groups.
class RegexParser {
 public:
  RegexParser(std::string_view pattern, RegexPlace place, TextForm form, GrammarRules& rules)
      : reader_{pattern}, place_(place), form_(form), rules_(rules) {
    open_.emplace_back();
  }

  Result<RegexMatch> parse() {
    if (reader_.text.size() > kMaxPatternBytes) {
      return fail(ErrorCode::kTooLarge, "the pattern has {} bytes, at most {} are supported",
                  reader_.text.size(), kMaxPatternBytes);
    }
    while (!reader_.done()) MIXTRAL_TRY(step());
    if (open_.size() > 1) return reader_.bad("a group is not closed");
    end_alternative();
    return joined(open_.back().alternatives);
  }

 private:
  struct Group {
    std::vector<RegexMatch> alternatives, sequence;
    bool begins_anchored = false, ends_anchored = false;
  };
  Group& group() { return open_.back(); }

  Status step() {
    const char c = reader_.peek();
    switch (c) {
      case '(': return open_group();
      case ')': return close_group();
      case '|':
        ++reader_.at;
        end_alternative();
        return {};
      case '^':
      case '$': return anchor();
      case '*':
      case '+':
      case '?': return reader_.bad("nothing stands before the quantifier");
      case '{': return reader_.bad("'{' without anything before it must be escaped");
      default: break;
    }
    if (group().ends_anchored) return reader_.unsupported("text after $");
    MIXTRAL_TRY(const CharacterSet set, read_characters(reader_));
    return quantified({character(set, form_, rules_), {1, 1}});
  }

  Status open_group() {
    if (open_.size() > kMaxOpenGroups) {
      return fail(ErrorCode::kTooLarge, "offset {}: groups nested deeper than {} levels",
                  reader_.at, kMaxOpenGroups);
    }
    if (group().ends_anchored) return reader_.unsupported("text after $");
    ++reader_.at;
    if (reader_.skip("?")) {
      const bool named = !reader_.rest().starts_with("<=") && !reader_.rest().starts_with("<!") &&
                         (reader_.skip("<") || reader_.skip("P<"));
      if (named) {
        const size_t end = reader_.rest().find('>');
        if (end == std::string_view::npos) return reader_.bad("a group's name has no end");
        reader_.at += end + 1;
      } else if (!reader_.skip(":")) {
        return reader_.unsupported("look-around and flags of groups");
      }
    }
    open_.emplace_back();
    return {};
  }

  Status close_group() {
    if (open_.size() == 1) return reader_.bad("no group is open here");
    ++reader_.at;
    end_alternative();
    const RegexMatch inside = joined(open_.back().alternatives);
    open_.pop_back();
    return quantified(inside);
  }

  // Anchors count at the ends of the pattern's alternatives only.
  Status anchor() {
    const bool begin = reader_.peek() == '^';
    Group& outer = group();
    if (open_.size() > 1 || (begin && !outer.sequence.empty())) {
      return reader_.unsupported("an anchor inside the pattern");
    }
    (begin ? outer.begins_anchored : outer.ends_anchored) = true;
    ++reader_.at;
    return {};
  }

  void end_alternative() {
    RegexMatch whole = chained(group().sequence);
    if (open_.size() == 1 && place_ == RegexPlace::kSomewhere) {
      const RegexMatch any = {
          rules_.repeat(character(CharacterSet::all(), form_, rules_), 0, kUnbounded),
          {0, kUnbounded}};
      std::vector<RegexMatch> parts;
      if (!group().begins_anchored) parts.push_back(any);
      parts.push_back(whole);
      if (!group().ends_anchored) parts.push_back(any);
      whole = chained(parts);
    }
    group().alternatives.push_back(whole);
    group().sequence.clear();
    group().begins_anchored = group().ends_anchored = false;
  }

  RegexMatch chained(const std::vector<RegexMatch>& parts) {
    std::vector<NodeId> nodes;
    CharacterCount length;
    for (const RegexMatch& part : parts) {
      nodes.push_back(part.node);
      length = {plus(length.min, part.length.min), plus(length.max, part.length.max)};
    }
    return {rules_.sequence(nodes), length};
  }

  RegexMatch joined(const std::vector<RegexMatch>& ways) {
    std::vector<NodeId> nodes;
    CharacterCount length = ways[0].length;
    for (const RegexMatch& way : ways) {
      nodes.push_back(way.node);
      length = {std::min(length.min, way.length.min), std::max(length.max, way.length.max)};
    }
    return {rules_.alternatives(nodes), length};
  }

  // Appends `part` to the sequence as often as the quantifier that follows says.
  Status quantified(RegexMatch part) {
    uint32_t min = 1, max = 1;
    if (reader_.skip("*")) {
      min = 0, max = kUnbounded;
    } else if (reader_.skip("+")) {
      max = kUnbounded;
    } else if (reader_.skip("?")) {
      min = 0;
    } else if (reader_.skip("{")) {
      MIXTRAL_TRY(std::tie(min, max), counts());
    } else {
      group().sequence.push_back(part);
      return {};
    }
    reader_.skip("?");  // which of several matches is preferred does not matter here
    if (!reader_.done() &&
        std::string_view("*+?{").find(reader_.peek()) != std::string_view::npos) {
      return reader_.unsupported("a quantifier after a quantifier");
    }
    group().sequence.push_back({rules_.repeat(part.node, min, max),
                                {times(part.length.min, min), times(part.length.max, max)}});
    return {};
  }

  Result<std::pair<uint32_t, uint32_t>> counts() {
    MIXTRAL_TRY(const uint32_t min, count());
    uint32_t max = min;
    if (reader_.skip(",")) {
      max = kUnbounded;
      if (!reader_.rest().starts_with("}")) {
        MIXTRAL_TRY(max, count());
      }
    }
    if (!reader_.skip("}")) return reader_.bad("expected '}' after the counts");
    if (max < min) return reader_.bad("the larger count stands first");
    return std::pair(min, max);
  }

  Result<uint32_t> count() {
    uint32_t value = 0;
    const size_t begin = reader_.at;
    while (!reader_.done() && reader_.peek() >= '0' && reader_.peek() <= '9') {
      value = 10 * value + static_cast<uint32_t>(reader_.peek() - '0');
      ++reader_.at;
      if (value > kMaxCount) {
        return fail(ErrorCode::kTooLarge, "offset {}: a count above {}", begin, kMaxCount);
      }
    }
    if (reader_.at == begin) return reader_.bad("expected a count");
    return value;
  }

  PatternReader reader_;
  RegexPlace place_;
  TextForm form_;
  GrammarRules& rules_;
  std::vector<Group> open_;
};

}  // namespace

Result<RegexMatch> parse_regex(std::string_view pattern, RegexPlace place, TextForm form,
                               GrammarRules& rules) {
  return RegexParser(pattern, place, form, rules).parse();
}

}  // namespace mixtral
