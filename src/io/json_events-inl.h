// The event parser under parse_json, for readers that must not build a document of untrusted text.
#pragma once

#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace mixtral {

/// Walks over a text and remembers how far its copies went: the parser does not tell its handler
/// where it is.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, size_t* count) : at_(at), count_(count) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    ++*count_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  size_t* count_;
};

/// Sends the events of `text` to `handler` (the functions of nlohmann::json_sax). Nothing if all of
/// it was read, else the byte near which the text or the handler put an end to it.
template <class Handler>
std::optional<size_t> parse_json_events(std::string_view text, Handler& handler) {
  size_t n_read = 0;
  const bool complete =
      nlohmann::json::sax_parse(CountingIterator(text.data(), &n_read),
                                CountingIterator(text.data() + text.size(), &n_read), &handler);
  return complete ? std::nullopt : std::optional<size_t>(n_read);
}

/// The part of a parse error's message that matters to people, fit for one line.
std::string json_syntax_message(std::string_view library_message);

}  // namespace mixtral
