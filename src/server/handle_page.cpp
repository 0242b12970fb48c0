// GET /: the web page.
#include "server/api_context.h"
#include "server/page.h"

namespace mixtral {

ApiStatus handle_page(ApiContext&, Call& call) {
  const PageFile* file = find_page_file(call.tail);
  HttpResponse response;
  response.content_type = std::string(file->content_type);
  response.body = std::string(file->content);
  // Nothing but this server's own files and answers: whatever a model writes, it cannot load, send
  // or run anything.
  response.headers = {
      {"Content-Security-Policy",
       "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
       "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
      {"Referrer-Policy", "no-referrer"},
      {"Cache-Control", "no-cache"}};
  call.exchange->send(std::move(response));
  return {};
}

}  // namespace mixtral
