#include "server/client_limits.h"

namespace mixtral {

std::shared_ptr<void> ClientLimits::enter(const std::string& client) {
  {
    const std::lock_guard lock(mutex_);
    size_t& n_requests = n_requests_[client];
    if (max_requests_ != 0 && n_requests >= max_requests_) return nullptr;
    ++n_requests;
  }
  return std::shared_ptr<void>(
      this, [client](void* limits) { static_cast<ClientLimits*>(limits)->leave(client); });
}

void ClientLimits::leave(const std::string& client) {
  const std::lock_guard lock(mutex_);
  const auto found = n_requests_.find(client);
  if (--found->second == 0) n_requests_.erase(found);
}

}  // namespace mixtral
