#include "grammar/number_range.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace mixtral {
namespace {

constexpr size_t kMaxWholeDigits = 15;
constexpr uint64_t kMaxWhole = 999'999'999'999'999;
constexpr size_t kFractionDigits = 6;

NodeId digit(char first, char last, GrammarRules& rules) {
  ByteSet set;
  if (first <= last) set.add_range(static_cast<uint8_t>(first), static_cast<uint8_t>(last));
  return rules.set(set);
}

// Whether what has been written so far equals the beginning of a bound.
struct Tight {
  bool low, high;
};

// Digit strings between two of the same length, built from the last digit to the first.
NodeId digits_between(std::string_view low, std::string_view high, GrammarRules& rules) {
  NodeId tails[2][2];  // of what follows, by Tight
  for (auto& row : tails) std::fill_n(row, 2, rules.empty());
  for (size_t i = low.size(); i-- > 0;) {
    NodeId now[2][2];
    for (const bool at_low : {false, true}) {
      for (const bool at_high : {false, true}) {
        const char first = at_low ? low[i] : '0', last = at_high ? high[i] : '9';
        const auto then = [&](char from, char to, Tight tight) {
          return rules.sequence({digit(from, to, rules), tails[tight.low][tight.high]});
        };
        std::vector<NodeId> ways;
        if (first == last) {
          ways.push_back(then(first, last, {at_low, at_high}));
        } else if (first < last) {
          if (at_low) ways.push_back(then(first, first, {true, false}));
          const char inner_first = static_cast<char>(first + at_low);
          const char inner_last = static_cast<char>(last - at_high);
          if (inner_first <= inner_last) {
            ways.push_back(then(inner_first, inner_last, {false, false}));
          }
          if (at_high) ways.push_back(then(last, last, {false, true}));
        }
        now[at_low][at_high] = rules.alternatives(ways);
      }
    }
    std::copy_n(&now[0][0], 4, &tails[0][0]);
  }
  return tails[1][1];
}

// Natural numbers from `low` to `high`, both included, without leading zeros.
NodeId whole_between(uint64_t low, uint64_t high, GrammarRules& rules) {
  std::vector<NodeId> ways;
  uint64_t first = 0, last = 9;
  for (size_t n_digits = 1; n_digits <= kMaxWholeDigits; ++n_digits) {
    const uint64_t from = std::max(low, first), to = std::min(high, last);
    if (from <= to) {
      ways.push_back(digits_between(fmt::format("{}", from), fmt::format("{}", to), rules));
    }
    first = last + 1;
    last = 10 * last + 9;
  }
  return rules.alternatives(ways);
}

// The magnitudes of one sign.
struct Magnitudes {
  Bound low;                  // not negative
  std::optional<Bound> high;  // not negative; nothing: up to kMaxWhole
};

// The digits of fractions; a text's missing digits are zeros.
class FractionRange {
 public:
  FractionRange(const Magnitudes& range, size_t n_digits, GrammarRules& rules)
      : low_(range.low.value.fraction), low_exclusive_(range.low.exclusive), rules_(rules) {
    low_.resize(n_digits, '0');
    high_.assign(n_digits, '9');
    if (range.high) {
      high_ = range.high->value.fraction;
      high_.resize(n_digits, '0');
      high_exclusive_ = range.high->exclusive;
    }
  }

  // "" or "." and digits, behind a whole number that equals that of the tight bounds.
  NodeId behind_whole(Tight tight) {
    const NodeId with_point = rules_.sequence({rules_.literal("."), more(tight)});
    if (may_end(0, tight)) return rules_.optional(with_point);
    return with_point;
  }

 private:
  bool may_end(size_t at, Tight tight) const {
    const bool low_is_zero = low_.find_first_not_of('0', at) == std::string::npos;
    const bool high_is_zero = high_.find_first_not_of('0', at) == std::string::npos;
    return (!tight.low || (low_is_zero && !low_exclusive_)) &&
           (!tight.high || !high_is_zero || !high_exclusive_);
  }
  // One digit at least.
  NodeId more(Tight wanted) {
    NodeId tails[2][2];  // of what follows a digit, by Tight
    for (size_t at = low_.size();; --at) {
      NodeId now[2][2];
      for (const bool low : {false, true}) {
        for (const bool high : {false, true}) {
          std::vector<NodeId> ways;
          for (char c = low ? low_[at] : '0'; at < low_.size() && c <= (high ? high_[at] : '9');
               ++c) {
            const NodeId tail = tails[low && c == low_[at]][high && c == high_[at]];
            ways.push_back(rules_.sequence({digit(c, c, rules_), tail}));
          }
          if (at > 0 && may_end(at, {low, high})) ways.push_back(rules_.empty());
          now[low][high] = rules_.alternatives(ways);
        }
      }
      std::copy_n(&now[0][0], 4, &tails[0][0]);
      if (at == 0) return tails[wanted.low][wanted.high];
    }
  }

  std::string low_, high_;
  bool low_exclusive_, high_exclusive_ = false;
  GrammarRules& rules_;
};

NodeId number_between(const Magnitudes& range, size_t n_digits, GrammarRules& rules) {
  FractionRange fraction(range, n_digits, rules);
  const uint64_t low = range.low.value.whole;
  const uint64_t high = range.high ? range.high->value.whole : kMaxWhole;
  if (low > high) return rules.nothing();
  const auto with_whole = [&](uint64_t whole, Tight tight) {
    return rules.sequence({rules.literal(fmt::format("{}", whole)), fraction.behind_whole(tight)});
  };
  if (low == high) return with_whole(low, {true, range.high.has_value()});
  std::vector<NodeId> ways{with_whole(low, {true, false})};
  if (high - low > 1) {
    ways.push_back(rules.sequence(
        {whole_between(low + 1, high - 1, rules), fraction.behind_whole({false, false})}));
  }
  ways.push_back(with_whole(high, {false, range.high.has_value()}));
  return rules.alternatives(ways);
}

NodeId integer_between(const Magnitudes& range, GrammarRules& rules) {
  const Decimal& low = range.low.value;
  const uint64_t first = low.whole + (!low.fraction.empty() || range.low.exclusive ? 1 : 0);
  uint64_t last = kMaxWhole;
  if (range.high) {
    const Decimal& high = range.high->value;
    const bool without = high.fraction.empty() && range.high->exclusive;
    if (without && high.whole == 0) return rules.nothing();
    last = high.whole - (without ? 1 : 0);
  }
  return first > last ? rules.nothing() : whole_between(first, last, rules);
}

// Calls `make` with the magnitudes of each sign and joins what it gives.
NodeId both_signs(const NumberRange& range, GrammarRules& rules,
                  FunctionRef<NodeId(const Magnitudes&)> make) {
  const auto negative = [](const std::optional<Bound>& bound) {
    return bound && bound->value.negative && !bound->value.is_zero();
  };
  std::vector<NodeId> ways;
  if (!negative(range.highest)) {
    Magnitudes above;
    above.high = range.highest;
    if (range.lowest && !negative(range.lowest)) above.low = *range.lowest;
    ways.push_back(make(above));
  }
  if (!range.lowest || negative(range.lowest)) {
    Magnitudes below;
    below.low.exclusive = true;  // without -0
    below.high = range.lowest;
    if (negative(range.highest)) below.low = *range.highest;
    ways.push_back(rules.sequence({rules.literal("-"), make(below)}));
  }
  return rules.alternatives(ways);
}

}  // namespace

Result<Decimal> parse_decimal(std::string_view text) {
  Decimal decimal;
  const std::string_view whole_text = text;
  if (text.starts_with('-')) {
    decimal.negative = true;
    text.remove_prefix(1);
  }
  const size_t point = std::min(text.find('.'), text.size());
  if (point > kMaxWholeDigits || text.find_first_not_of("0123456789.") != std::string_view::npos) {
    return fail(ErrorCode::kUnsupported,
                "not supported: the bound {}, which has an exponent or more than {} digits",
                whole_text, kMaxWholeDigits);
  }
  for (const char c : text.substr(0, point)) {
    decimal.whole = 10 * decimal.whole + static_cast<uint64_t>(c - '0');
  }
  decimal.fraction = point < text.size() ? text.substr(point + 1) : "";
  decimal.fraction.erase(decimal.fraction.find_last_not_of('0') + 1);
  return decimal;
}

NodeId integer_in_range(const NumberRange& range, GrammarRules& rules) {
  return both_signs(range, rules,
                    [&](const Magnitudes& part) { return integer_between(part, rules); });
}

NodeId number_in_range(const NumberRange& range, GrammarRules& rules) {
  size_t n_digits = kFractionDigits;
  for (const auto& bound : {range.lowest, range.highest}) {
    if (bound) n_digits = std::max(n_digits, bound->value.fraction.size());
  }
  return both_signs(range, rules,
                    [&](const Magnitudes& part) { return number_between(part, n_digits, rules); });
}

}  // namespace mixtral
