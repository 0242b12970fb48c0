#include "io/tensor_table.h"

#include <fmt/ranges.h>

#include "core/check.h"
#include "core/checked.h"
#include "io/quoted.h"

namespace mixtral {

std::string TensorEntry::shape_text() const { return fmt::format("[{}]", fmt::join(shape, ", ")); }

Status TensorEntry::read(uint64_t offset_bytes, std::span<std::byte> out) const {
  MIXTRAL_CHECK((CheckedSize(offset_bytes) + CheckedSize(out.size())).fits(n_bytes),
                "reading past the end of a tensor");
  if (Status status = file->read_at(offset + offset_bytes, out); !status) {
    return with_context(std::move(status).error(), fmt::format("tensor {}", in_quotes(name)));
  }
  return {};
}

Status TensorTable::add(TensorEntry entry) {
  if (const TensorEntry* other = find(entry.name)) {
    return fail(ErrorCode::kBadInput, "{}: tensor {} is there twice, before it in {}",
                entry.file->path(), in_quotes(entry.name), other->file->path());
  }
  entries_.push_back(std::make_unique<const TensorEntry>(std::move(entry)));
  by_name_.emplace(entries_.back()->name, entries_.back().get());
  return {};
}

const TensorEntry* TensorTable::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : it->second;
}

}  // namespace mixtral
