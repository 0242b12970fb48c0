// Server-sent events, as far as the clients of language models know them: nameless, one line each.
#pragma once

#include <string>
#include <string_view>

#include "server/http_message.h"

namespace mixtral {

inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";
inline constexpr std::string_view kPing = ": ping\n\n";  // a comment, which clients skip

/// `line` must be one line, as JSON texts are.
std::string sse_event(std::string_view line);
/// Status and headers; no proxy is to keep events back.
HttpResponse event_stream_head();

}  // namespace mixtral
