#include "core/arena.h"

#include <sys/mman.h>

namespace mixtral {

AlignedBuffer::AlignedBuffer(size_t size) {
  if (size == 0) return;
  // Anonymous pages come zeroed and only become real when touched: by the thread that will use
  // them.
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return;
  constexpr size_t kHugePage = size_t{2} << 20;
  if (size >= kHugePage) madvise(memory, size, MADV_HUGEPAGE);
  data_ = static_cast<std::byte*>(memory);
  size_ = size;
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ != nullptr) munmap(data_, size_);
}

}  // namespace mixtral
