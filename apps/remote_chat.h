// A dialogue with the model of a server.
#pragma once

#include <string>
#include <string_view>

#include "app_context.h"
#include "core/result.h"
#include "engine/engine.h"
#include "http_client.h"

namespace mixtral {

/// What ChatSession is for a model of one's own, with the commands that do not need it. Not
/// thread-safe.
class RemoteChat {
 public:
  RemoteChat(ServerUrl server, std::string key, const GenerateOptions& options,
             const AppContext& context);

  void set_system(std::string_view text) { system_ = text; }
  /// Answers one message on standard output. A failure leaves the dialogue as it was.
  Status say(std::string_view text);
  /// Runs "/NAME ARGUMENT"; false if the dialogue is over.
  Result<bool> command(std::string_view line);

 private:
  ServerUrl server_;
  std::string key_, system_;
  Json fields_;  // of every request
  uint64_t seed_;
  const AppContext& context_;
  Json messages_ = Json::array();
  size_t n_answers_ = 0;
};

}  // namespace mixtral
