// Who may ask: API keys, and which web pages may read the answers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "server/http_message.h"

namespace mixtral {

/// Immutable and thread-safe.
class ApiKeys {
 public:
  ApiKeys() = default;
  explicit ApiKeys(std::vector<std::string> keys) : keys_(std::move(keys)) {}

  bool needed() const { return !keys_.empty(); }
  /// Which key the request shows, as `Authorization: Bearer KEY` or `x-api-key: KEY`; nullopt if
  /// none is right. Takes the same time however much of a key is right.
  std::optional<size_t> find(const HttpRequest& request) const;

 private:
  std::vector<std::string> keys_;
};

/// One key a line; empty lines and those that begin with "#" do not count.
std::vector<std::string> parse_api_keys(std::string_view text);

/// Pages of which origins may use the server: those listed ("*": all), else pages of this machine
/// and those that the server itself serves.
class AllowedOrigins {
 public:
  AllowedOrigins() = default;
  explicit AllowedOrigins(std::vector<std::string> origins) : origins_(std::move(origins)) {}

  bool allows(std::string_view origin, std::string_view host) const;
  /// Adds what browsers want to see, if the request has an Origin that is allowed.
  void add_headers(const HttpRequest& request, HttpResponse& response) const;

 private:
  std::vector<std::string> origins_;
};

}  // namespace mixtral
