#include "grammar/character_set.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/utf8.h"

namespace mixtral {
namespace {

constexpr char32_t kLast = 0x10FFFF;
constexpr CodePointRange kSurrogates{0xD800, 0xDFFF};

// Of the characters from `first` to `last`, which all have the same number of bytes and agree in
// all but a trailing run of complete bytes, one byte set for each byte.
NodeId byte_ranges(char32_t first, char32_t last, GrammarRules& rules) {
  std::string low, high;
  append_utf8(first, low);
  append_utf8(last, high);
  std::vector<NodeId> bytes;
  for (size_t i = 0; i < low.size(); ++i) {
    ByteSet set;
    set.add_range(static_cast<uint8_t>(low[i]), static_cast<uint8_t>(high[i]));
    bytes.push_back(rules.set(set));
  }
  return rules.sequence(bytes);
}

// Cuts a range where the number of bytes changes or the bytes stop being independent of each other.
void add_utf8(CodePointRange range, GrammarRules& rules, std::vector<NodeId>& ways) {
  std::vector<CodePointRange> open{range};
  const auto cut_after = [&](CodePointRange whole, char32_t at) {
    open.push_back({at + 1, whole.last});
    open.push_back({whole.first, at});
  };
  while (!open.empty()) {
    const CodePointRange part = open.back();
    open.pop_back();
    bool whole = true;
    for (const char32_t end : {char32_t{0x7F}, char32_t{0x7FF}, char32_t{0xFFFF}}) {
      if (!whole || part.first > end || part.last <= end) continue;
      cut_after(part, end);
      whole = false;
    }
    for (int n_bytes = 1; whole && part.last > 0x7F && n_bytes < 4; ++n_bytes) {
      const char32_t low_bits = (char32_t{1} << (6 * n_bytes)) - 1;
      if ((part.first & ~low_bits) == (part.last & ~low_bits)) break;
      if ((part.first & low_bits) != 0) {
        cut_after(part, part.first | low_bits);
        whole = false;
      } else if ((part.last & low_bits) != low_bits) {
        cut_after(part, (part.last & ~low_bits) - 1);
        whole = false;
      }
    }
    if (whole) ways.push_back(byte_ranges(part.first, part.last, rules));
  }
}

NodeId json_escape(char32_t c, GrammarRules& rules) {
  constexpr std::string_view kShort = "\"\"\\\\\bb\ff\nn\rr\tt";
  for (size_t i = 0; i < kShort.size(); i += 2) {
    if (static_cast<char32_t>(kShort[i]) == c) {
      return rules.literal(std::string{'\\', kShort[i + 1]});
    }
  }
  return rules.literal(fmt::format("\\u{:04x}", static_cast<uint32_t>(c)));
}

}  // namespace

CharacterSet::CharacterSet(std::initializer_list<CodePointRange> ranges) {
  for (const CodePointRange& range : ranges) add(range.first, range.last);
}

CharacterSet CharacterSet::all() { return CharacterSet{{0, kLast}}; }

void CharacterSet::add(char32_t first, char32_t last) {
  last = std::min(last, kLast);
  if (first > last) return;
  if (first <= kSurrogates.last && last >= kSurrogates.first) {
    if (first < kSurrogates.first) add(first, kSurrogates.first - 1);
    if (last > kSurrogates.last) add(kSurrogates.last + 1, last);
    return;
  }
  // Ranges that overlap or touch the new one become part of it.
  const auto begin =
      std::lower_bound(ranges_.begin(), ranges_.end(), first,
                       [](const CodePointRange& range, char32_t c) { return range.last + 1 < c; });
  auto end = begin;
  for (; end != ranges_.end() && end->first <= last + 1; ++end) {
    first = std::min(first, end->first);
    last = std::max(last, end->last);
  }
  ranges_.insert(ranges_.erase(begin, end), {first, last});
}

void CharacterSet::add(const CharacterSet& other) {
  for (const CodePointRange& range : other.ranges_) add(range.first, range.last);
}

CharacterSet CharacterSet::complement() const {
  CharacterSet rest;
  char32_t next = 0;
  for (const CodePointRange& range : ranges_) {
    if (range.first > next) rest.add(next, range.first - 1);
    next = range.last + 1;
  }
  rest.add(next, kLast);
  return rest;
}

CharacterSet CharacterSet::without(const CharacterSet& other) const {
  CharacterSet outside = complement();
  outside.add(other);
  return outside.complement();
}

bool CharacterSet::contains(char32_t c) const {
  return std::any_of(ranges_.begin(), ranges_.end(), [&](const CodePointRange& range) {
    return range.first <= c && c <= range.last;
  });
}

const CharacterSet& escaped_in_json() {
  static const CharacterSet escaped{{0, 0x1F}, {'"', '"'}, {'\\', '\\'}};
  return escaped;
}

NodeId character(const CharacterSet& set, TextForm form, GrammarRules& rules) {
  std::vector<NodeId> ways;
  ByteSet ascii;
  const CharacterSet plain = form == TextForm::kJsonString ? set.without(escaped_in_json()) : set;
  for (const CodePointRange& range : plain.ranges()) {
    if (range.first <= 0x7F) {
      ascii.add_range(static_cast<uint8_t>(range.first),
                      static_cast<uint8_t>(std::min<char32_t>(range.last, 0x7F)));
    }
    if (range.last > 0x7F) {
      add_utf8({std::max<char32_t>(range.first, 0x80), range.last}, rules, ways);
    }
  }
  if (!ascii.empty()) ways.insert(ways.begin(), rules.set(ascii));
  if (form == TextForm::kJsonString) {
    for (const CodePointRange& range : escaped_in_json().ranges()) {
      for (char32_t c = range.first; c <= range.last; ++c) {
        if (set.contains(c)) ways.push_back(json_escape(c, rules));
      }
    }
  }
  return rules.alternatives(ways);
}

}  // namespace mixtral
