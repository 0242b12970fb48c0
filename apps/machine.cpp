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

// How a version of cgroups tells what a group may have and what it has.
struct CgroupFiles {
  const char *root, *limit, *used, *inactive, *active;
};
constexpr CgroupFiles kVersion2 = {"/sys/fs/cgroup", "memory.max", "memory.current",
                                   "inactive_file", "active_file"};
constexpr CgroupFiles kVersion1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                   "memory.usage_in_bytes", "total_inactive_file",
                                   "total_active_file"};

// What one cgroup still allows. Cached file pages count as free: they make room when asked.
uint64_t cgroup_headroom(const std::filesystem::path& group, const CgroupFiles& files) {
  const auto limit = read_number(group / files.limit, "");
  const auto used = read_number(group / files.used, "");
  if (!limit || !used) return kUnlimited;  // "max", or no memory controller
  const uint64_t cached = read_number(group / "memory.stat", files.inactive).value_or(0) +
                          read_number(group / "memory.stat", files.active).value_or(0);
  const uint64_t held = *used > cached ? *used - cached : 0;
  return *limit > held ? *limit - held : 1;  // never "unknown"
}

// The tightest of a group and all above it. Inside a container the path may be that of the host,
// and only the root is there.
uint64_t cgroups_headroom(const CgroupFiles& files, const std::filesystem::path& path) {
  std::filesystem::path group = files.root;
  uint64_t headroom = cgroup_headroom(group, files);
  for (const auto& part : path.relative_path()) {
    group /= part;
    headroom = std::min(headroom, cgroup_headroom(group, files));
  }
  return headroom;
}

// Of this process's cgroups: lines of "number:controllers:path", without controllers in version 2.
uint64_t cgroups_headroom() {
  std::ifstream file("/proc/self/cgroup");
  uint64_t headroom = kUnlimited;
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool has_memory = controllers.find("memory") != std::string::npos;
    if (!has_memory && !controllers.empty()) continue;
    headroom = std::min(
        headroom, cgroups_headroom(has_memory ? kVersion1 : kVersion2, line.substr(second + 1)));
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
