#include "server/sse.h"

namespace mixtral {

std::string sse_event(std::string_view line) {
  std::string event = "data: ";
  event += line;
  event += "\n\n";
  return event;
}

HttpResponse event_stream_head() {
  HttpResponse head;
  head.content_type = "text/event-stream; charset=utf-8";
  head.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
  return head;
}

}  // namespace mixtral
