// Decimal numbers between bounds, as grammars.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "grammar/grammar_rules.h"

namespace mixtral {

/// A decimal number without an exponent.
struct Decimal {
  bool negative = false;
  uint64_t whole = 0;    ///< up to 15 digits
  std::string fraction;  ///< digits behind the point, "" for none; its last digit is no 0

  bool is_zero() const { return whole == 0 && fraction.empty(); }
};
/// Reads JSON's notation. Fails with kUnsupported on exponents and more than 15 digits before the
/// point.
Result<Decimal> parse_decimal(std::string_view text);

struct Bound {
  Decimal value;
  bool exclusive = false;
};
struct NumberRange {
  std::optional<Bound> lowest, highest;
};

/// The integers of the range in JSON's notation, up to 15 digits.
NodeId integer_in_range(const NumberRange& range, GrammarRules& rules);
/// The numbers of the range, without exponents, up to 15 digits before the point and as many behind
/// it as the bounds have, at least 6.
NodeId number_in_range(const NumberRange& range, GrammarRules& rules);

}  // namespace mixtral
