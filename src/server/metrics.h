// Counters and histograms, in Prometheus' text format 0.0.4.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/stats.h"

namespace mixtral {

/// Not thread-safe.
class Histogram {
 public:
  void add(double seconds);
  /// Appends the lines of a histogram with that name.
  void write(std::string_view name, std::string_view help, std::string& out) const;

 private:
  static constexpr std::array<double, 18> kBounds = {
      0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500};
  std::array<uint64_t, kBounds.size() + 1> counts_ = {};  // the last: beyond all bounds
  double sum_ = 0;
};

/// Thread-safe.
class Metrics {
 public:
  enum class Span { kQueue, kFirstToken, kBetweenTokens, kWhole };
  void add_time(Span span, double seconds);
  void add_response(std::string_view route, unsigned status);  ///< 499: the client left
  void add_disconnect();

  struct Gauges {
    EngineStats engine;
    size_t n_experts = 0;
    std::string model, version;
  };
  std::string text(const Gauges& gauges) const;

 private:
  mutable std::mutex mutex_;
  std::array<Histogram, 4> times_;
  std::map<std::pair<std::string, unsigned>, uint64_t> responses_;
  uint64_t n_disconnects_ = 0;
  int64_t started_ = now();
  static int64_t now();
};

}  // namespace mixtral
