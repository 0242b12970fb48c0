// What is served as it is, compiled in: the files of src/server/page, which are the web page and
// the OpenAPI document.
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
