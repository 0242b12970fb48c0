// Which experts answered: kept for a while after the answer, for GET /v1/routing/{id}.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "engine/answer.h"
#include "io/json.h"

namespace mixtral {

/// One token and where its own row went.
struct RoutedToken {
  int32_t id = 0;
  std::string text;
  TokenRouting routing;  ///< empty for a last token, which no expert has read
};

/// Of one choice of one answer.
struct AnswerRouting {
  size_t choice = 0;
  std::vector<RoutedToken> tokens;
};

/// What the model's shape has to do with it.
struct RoutingShape {
  size_t n_layers = 0, n_experts = 0, n_experts_per_token = 0;
};

/// {"n_layers", …, "layers": […], "choices": [{"index", "tokens": [{"token", "token_id",
/// "expert_ids": [[…] of each layer shown], "probs"}]}]}; `layers` empty: all.
Json routing_json(const std::vector<AnswerRouting>& answers, const RoutingShape& shape,
                  const std::vector<size_t>& layers);

/// Thread-safe. Keeps the latest, up to a number of bytes.
class RoutingStore {
 public:
  explicit RoutingStore(size_t limit_bytes = size_t{64} << 20) : limit_bytes_(limit_bytes) {}

  void add(std::string id, std::vector<AnswerRouting> answers);
  /// nullptr if it was never there or has made room for others.
  std::shared_ptr<const std::vector<AnswerRouting>> find(std::string_view id) const;

 private:
  struct Entry {
    std::string id;
    std::shared_ptr<const std::vector<AnswerRouting>> answers;
    size_t n_bytes;
  };
  size_t limit_bytes_;
  mutable std::mutex mutex_;
  std::deque<Entry> entries_;  // under the mutex, oldest first
  size_t n_bytes_ = 0;         // under the mutex
};

}  // namespace mixtral
