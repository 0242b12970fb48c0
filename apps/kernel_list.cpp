#include "kernel_list.h"

#include <fmt/format.h>

#include <algorithm>

namespace mixtral {

bool KernelList::has(Role role, Type type) const {
  return std::any_of(uses_.begin(), uses_.end(),
                     [&](const KernelUse& use) { return use.role == role && use.type == type; });
}

void KernelList::add(Role role, const Weight& weight) {
  if (!has(role, weight.type())) uses_.push_back({role, weight.type(), weight.kernel()});
}

std::vector<std::string> KernelList::lines() const {
  struct Line {
    const KernelUse* first;
    std::string roles;
  };
  std::vector<Line> lines;
  for (const KernelUse& use : uses_) {
    const auto same = std::find_if(lines.begin(), lines.end(), [&](const Line& line) {
      return line.first->type == use.type && line.first->kernel == use.kernel;
    });
    if (same == lines.end()) {
      lines.push_back({&use, std::string(role_name(use.role))});
    } else {
      same->roles += fmt::format(", {}", role_name(use.role));
    }
  }
  std::vector<std::string> texts;
  texts.reserve(lines.size());
  for (const Line& line : lines) {
    texts.push_back(
        fmt::format("{} {}: {}", type_name(line.first->type), line.roles, line.first->kernel));
  }
  return texts;
}

}  // namespace mixtral
