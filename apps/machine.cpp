#include "machine.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace mixtral {
namespace {

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

// The number after `key` in a file of "key number" lines; with an empty key the file's first word.
std::optional<uint64_t> read_number(const std::filesystem::path& path, std::string_view key) {
  std::ifstream file(path);
  std::string word;
  while (file >> word) {
    if (!key.empty() && word != key) continue;
    if (!key.empty() && !(file >> word)) break;
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
    return value;
  }
  return std::nullopt;
}

// What one cgroup still allows. Cached file pages count as free: they make room when asked.
uint64_t cgroup_headroom(const std::filesystem::path& group) {
  const auto limit = read_number(group / "memory.max", "");
  const auto used = read_number(group / "memory.current", "");
  if (!limit || !used) return kUnlimited;  // "max", or no memory controller
  const uint64_t cached = read_number(group / "memory.stat", "inactive_file").value_or(0) +
                          read_number(group / "memory.stat", "active_file").value_or(0);
  const uint64_t held = *used > cached ? *used - cached : 0;
  return *limit > held ? *limit - held : 1;  // never "unknown"
}

// The tightest of this process's cgroup (version 2) and all above it.
uint64_t cgroups_headroom() {
  const std::filesystem::path root = "/sys/fs/cgroup";
  std::ifstream file("/proc/self/cgroup");
  std::string line;
  while (std::getline(file, line) && !line.starts_with("0::/")) {
  }
  if (!line.starts_with("0::/")) return kUnlimited;
  uint64_t headroom = cgroup_headroom(root);
  std::filesystem::path group = root;
  for (const auto& part : std::filesystem::path(line.substr(4))) {
    group /= part;
    headroom = std::min(headroom, cgroup_headroom(group));
  }
  return headroom;
}

}  // namespace

uint64_t available_memory_bytes() {
  const auto kilobytes = read_number("/proc/meminfo", "MemAvailable:");
  const uint64_t machine = kilobytes ? *kilobytes * 1024 : kUnlimited;
  const uint64_t available = std::min(machine, cgroups_headroom());
  return available == kUnlimited ? 0 : available;
}

}  // namespace mixtral
