// What the program knows of the terminal it writes to, and figures in a form for people.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace mixtral {

bool is_terminal(std::FILE* stream);
/// Columns of the terminal behind `stream`; 80 where there is none.
size_t terminal_columns(std::FILE* stream);
/// True if colours may be written to `stream`: a terminal, and no NO_COLOR (no-color.org).
bool has_colour(std::FILE* stream);

/// `text` in faint letters if `stream` has colours.
std::string dim(std::string_view text, std::FILE* stream);

/// "93.4 MB": decimal units, three digits.
std::string format_bytes(uint64_t bytes);
/// "46.7 billion".
std::string format_count(uint64_t count);

/// "1 token", "2 tokens".
std::string counted(uint64_t count, std::string_view noun);

/// Text of a token on one line: control bytes and broken UTF-8 as \xNN, a line feed as \n.
std::string printable(std::string_view text);

/// Columns that UTF-8 text takes, counting every character as one.
size_t display_columns(std::string_view text);

/// Writes to standard output at once; what a pipe no longer takes shows at the program's end.
void write_out(std::string_view text);

}  // namespace mixtral
