#include "line_reader.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>
#include <utility>

#include "interrupt.h"
#include "terminal.h"

namespace mixtral {
namespace {

constexpr std::string_view kQuotes = "\"\"\"";
constexpr const char* kGoOn = "... ";

class PlainReader : public LineReader {
 public:
  Line read(const std::string& prompt) override {
    if (is_terminal(stdin)) {
      fmt::print(stderr, "{}", prompt);
      std::fflush(stderr);
    }
    for (;;) {
      const size_t end = buffer_.find('\n');
      if (end != std::string::npos) {
        Line line = {LineEnd::kLine, buffer_.substr(0, end)};
        buffer_.erase(0, end + 1);
        return line;
      }
      char bytes[4096];
      const ssize_t n = ::read(STDIN_FILENO, bytes, sizeof(bytes));
      if (n > 0) {
        buffer_.append(bytes, static_cast<size_t>(n));
      } else if (n < 0 && errno == EINTR) {
        if (interrupted()) return {LineEnd::kInterrupted, {}};
      } else if (buffer_.empty()) {
        return {LineEnd::kEnd, {}};
      } else {
        return {LineEnd::kLine, std::exchange(buffer_, {})};  // the last line has no line feed
      }
    }
  }
  void remember(const std::string&) override {}

 private:
  std::string buffer_;
};

bool take_suffix(std::string& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.resize(text.size() - suffix.size());
  return true;
}

}  // namespace

std::unique_ptr<LineReader> make_plain_reader() { return std::make_unique<PlainReader>(); }

std::unique_ptr<LineReader> make_line_reader() {
  if (is_terminal(stdin) && is_terminal(stdout)) {
    if (auto reader = make_editing_reader()) return reader;
  }
  return make_plain_reader();
}

Line read_message(LineReader& reader, const std::string& prompt) {
  Line message = reader.read(prompt);
  if (message.end != LineEnd::kLine) return message;
  const bool is_quoted = message.text.starts_with(kQuotes);
  if (is_quoted) message.text.erase(0, kQuotes.size());
  for (;;) {
    if (is_quoted ? take_suffix(message.text, kQuotes) : !take_suffix(message.text, "\\")) break;
    const Line next = reader.read(kGoOn);
    if (next.end == LineEnd::kInterrupted) return {LineEnd::kInterrupted, {}};
    if (next.end == LineEnd::kEnd) break;
    message.text += "\n" + next.text;
  }
  if (message.text.find_first_not_of(" \t\n") != std::string::npos) reader.remember(message.text);
  return message;
}

}  // namespace mixtral
