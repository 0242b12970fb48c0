// The web page, compiled in: the files of src/server/page.
#pragma once

#include <string_view>

namespace mixtral {

struct PageFile {
  std::string_view path;  ///< "/chat.js"; "/" for the page itself
  std::string_view content_type, content;
};

/// nullptr if the page has no such file.
const PageFile* find_page_file(std::string_view path);

}  // namespace mixtral
