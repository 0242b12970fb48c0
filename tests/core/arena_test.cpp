#include "core/arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

namespace mixtral {
namespace {

bool aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % kAlignment == 0; }

TEST(AlignUp, RoundsToTheNextMultiple) {
  EXPECT_EQ(align_up(0), 0u);
  EXPECT_EQ(align_up(1), 64u);
  EXPECT_EQ(align_up(64), 64u);
  EXPECT_EQ(align_up(65), 128u);
  EXPECT_EQ(align_up(10, 4), 12u);
}

TEST(AlignedBuffer, IsAlignedZeroedAndWritable) {
  for (const size_t size : {size_t{1}, size_t{4096}, size_t{5} << 20}) {
    const AlignedBuffer buffer(size);
    ASSERT_NE(buffer.data(), nullptr);
    EXPECT_EQ(buffer.size(), size);
    EXPECT_TRUE(aligned(buffer.data()));
    EXPECT_TRUE(std::all_of(buffer.data(), buffer.data() + size,
                            [](std::byte byte) { return byte == std::byte{0}; }));
    std::fill_n(buffer.data(), size, std::byte{1});
  }
}

TEST(AlignedBuffer, IsEmptyWithoutASizeOrWithoutMemory) {
  EXPECT_EQ(AlignedBuffer().data(), nullptr);
  EXPECT_EQ(AlignedBuffer(0).data(), nullptr);
  const AlignedBuffer impossible(size_t{1} << 60);
  EXPECT_EQ(impossible.data(), nullptr);
  EXPECT_EQ(impossible.size(), 0u);
}

TEST(AlignedBuffer, MovesItsMemory) {
  AlignedBuffer first(100);
  std::byte* const data = first.data();
  AlignedBuffer second(std::move(first));
  EXPECT_EQ(second.data(), data);
  EXPECT_EQ(second.size(), 100u);
  AlignedBuffer third(50);
  third = std::move(second);
  EXPECT_EQ(third.data(), data);
  third = AlignedBuffer();
  EXPECT_EQ(third.data(), nullptr);
}

TEST(Arena, HandsOutAlignedPartsThatDoNotOverlap) {
  Arena arena(arena_bytes<float>(3) + arena_bytes<uint8_t>(65) + arena_bytes<float>(4));
  const auto floats = arena.take<float>(3);
  const auto bytes = arena.take<uint8_t>(65);
  const TensorView<float> matrix = arena.take_matrix<float>(2, 2);
  EXPECT_EQ(floats.size(), 3u);
  EXPECT_EQ(bytes.size(), 65u);
  EXPECT_EQ(matrix.rows(), 2u);
  EXPECT_EQ(matrix.cols(), 2u);
  EXPECT_TRUE(aligned(floats.data()) && aligned(bytes.data()) && aligned(matrix.data()));
  EXPECT_GE(static_cast<void*>(bytes.data()), static_cast<void*>(floats.data() + 3));
  EXPECT_GE(static_cast<void*>(matrix.data()), static_cast<void*>(bytes.data() + 65));
  EXPECT_EQ(arena.used(), arena.capacity());
}

TEST(Arena, GivesTheSameMemoryAgainAfterResetAndRewind) {
  Arena arena(1024);
  float* const first = arena.take<float>(10).data();
  const size_t mark = arena.used();
  float* const second = arena.take<float>(10).data();
  arena.rewind(mark);
  EXPECT_EQ(arena.take<float>(10).data(), second);
  arena.reset();
  EXPECT_EQ(arena.used(), 0u);
  EXPECT_EQ(arena.take<float>(10).data(), first);
}

TEST(Arena, AbortsWhenItRunsOut) {
  Arena arena(128);
  arena.take<float>(16);
  EXPECT_DEATH(arena.take<float>(17), "arena is too small");
  EXPECT_DEATH(Arena().take<float>(1), "arena is too small");
}

}  // namespace
}  // namespace mixtral
