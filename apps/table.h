// Texts in columns.
#pragma once

#include <string>
#include <vector>

namespace mixtral {

using TableRow = std::vector<std::string>;

/// Columns as wide as they need to be: the first `n_words` begin at the left, the others, numbers,
/// end at the right.
std::string table_text(const std::vector<TableRow>& rows, size_t n_words);

/// In quotes, since it may hold a comma.
std::string csv_quoted(std::string text);

}  // namespace mixtral
