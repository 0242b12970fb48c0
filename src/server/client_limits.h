// How many requests one client may have in progress.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace mixtral {

/// Thread-safe. A client is an API key or, without keys, an address.
class ClientLimits {
 public:
  /// 0: no limit.
  explicit ClientLimits(size_t max_requests = 0) : max_requests_(max_requests) {}

  /// A place, given back when the last copy of it goes; nullptr if the client has no more. This
  /// must outlive it.
  std::shared_ptr<void> enter(const std::string& client);

 private:
  void leave(const std::string& client);

  size_t max_requests_;
  std::mutex mutex_;
  std::unordered_map<std::string, size_t> n_requests_;  // under the mutex; never 0
};

}  // namespace mixtral
