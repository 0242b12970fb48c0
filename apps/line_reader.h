// Where the lines of a dialogue come from: line editing with a history on a terminal, else a plain
// stream.
#pragma once

#include <memory>
#include <string>

namespace mixtral {

enum class LineEnd {
  kLine,         ///< a whole line
  kInterrupted,  ///< Ctrl-C: what was typed is gone
  kEnd,          ///< no more input
};

struct Line {
  LineEnd end = LineEnd::kEnd;
  std::string text;  ///< without the line feed
};

/// Needs catch_interrupts(). Not thread-safe.
class LineReader {
 public:
  virtual ~LineReader() = default;
  virtual Line read(const std::string& prompt) = 0;
  /// Adds to the history, for this session and later ones.
  virtual void remember(const std::string& entry) = 0;
};

/// For standard input. The history lies in the user's state folder.
std::unique_ptr<LineReader> make_line_reader();

/// One message of one or several lines: a line that ends in a backslash goes on, and so does all
/// between """ and """.
Line read_message(LineReader& reader, const std::string& prompt);

/// A reader that only reads; the prompt appears if standard input is a terminal.
std::unique_ptr<LineReader> make_plain_reader();
/// With editing keys and history; nullptr if the program was built without libedit.
std::unique_ptr<LineReader> make_editing_reader();

}  // namespace mixtral
