#include <cmath>

#include "kernel_testing.h"

namespace mixtral::cpu {
namespace {

// One sequence's cache with two layers and two key-value heads, filled at random; places beyond its
// positions hold NaN, so that reading them shows.
class Cache {
 public:
  Cache(Random& random, KvType type, size_t head_dim, size_t n_positions)
      : head_dim_(head_dim), n_positions_(n_positions) {
    layout_.type = type;
    layout_.n_layers = 2;
    layout_.n_kv_heads = 2;
    layout_.head_dim = head_dim;
    const size_t n_pages = (n_positions + kPageTokens - 1) / kPageTokens;
    for (size_t page = 0; page < n_pages; ++page) {
      bytes_.emplace_back(layout_.page_bytes(), std::byte{0xFF});
      for (size_t head = 0; head < 4; ++head) fill(random, page, head / 2, head % 2);
    }
    for (auto& page : bytes_) pages_.push_back(page.data());
  }

  KvView view() const { return {layout_, pages_}; }
  void drop_page(size_t page) { pages_[page] = nullptr; }
  double key(size_t position, size_t d) const {
    const size_t place = position % kPageTokens;
    return number(position, layout_.keys_offset(1, 1), layout_.key_index(place, d),
                  d / 32 * kPageTokens + place);
  }
  double value(size_t position, size_t d) const {
    const size_t place = position % kPageTokens;
    return number(position, layout_.values_offset(1, 1), layout_.value_index(place, d),
                  place * layout_.scales_per_head() + d / 32);
  }
  size_t head_dim() const { return head_dim_; }
  size_t n_positions() const { return n_positions_; }

 private:
  void fill(Random& random, size_t page, size_t layer, size_t head) {
    const size_t n_places = std::min(n_positions_ - page * kPageTokens, kPageTokens);
    for (size_t place = 0; place < n_places; ++place) {
      const std::vector<float> k = random_floats(random, head_dim_);
      const std::vector<float> v = random_floats(random, head_dim_);
      kernel_table(Isa::kScalar)
          .store_kv(layout_, place, k.data(), v.data(),
                    &bytes_[page][layout_.keys_offset(layer, head)],
                    &bytes_[page][layout_.values_offset(layer, head)]);
    }
  }
  double number(size_t position, size_t offset, size_t index, size_t scale_index) const {
    const std::byte* part = bytes_[position / kPageTokens].data() + offset;
    const auto half = [&](size_t at) {
      uint16_t x = 0;
      std::memcpy(&x, part + at, 2);
      return x;
    };
    switch (layout_.type) {
      case KvType::kF16: return f16_to_f32(half(2 * index));
      case KvType::kBF16: return bf16_to_f32(half(2 * index));
      case KvType::kQ8_0:
        return static_cast<int8_t>(part[index]) *
               static_cast<double>(f16_to_f32(half(layout_.numbers_bytes() + 2 * scale_index)));
      case KvType::kF32: break;
    }
    float x = 0;
    std::memcpy(&x, part + 4 * index, 4);
    return x;
  }

  size_t head_dim_, n_positions_;
  KvLayout layout_;
  std::vector<std::vector<std::byte>> bytes_;
  std::vector<std::byte*> pages_;
};

constexpr KvType kKvTypes[] = {KvType::kF16, KvType::kBF16, KvType::kQ8_0, KvType::kF32};

struct Case {
  size_t group, head_dim, first_position, n_rows, sliding_window;
};

std::vector<float> attend(const KernelTable& table, const Cache& cache, const Case& c,
                          const std::vector<float>& q, size_t first_row, size_t n_rows) {
  const KvView view = cache.view();
  const size_t stride = c.group * c.head_dim + 9;
  GuardedFloats x(n_rows * stride), y(n_rows * stride);
  std::fill_n(y.data(), n_rows * stride, GuardedFloats::kSentinel);
  for (size_t row = 0; row < n_rows; ++row) {
    std::copy_n(q.data() + (first_row + row) * c.group * c.head_dim, c.group * c.head_dim,
                x.data() + row * stride);
  }
  const AlignedBuffer scratch(attention_scratch_floats(c.group, c.head_dim) * sizeof(float));
  auto* floats = reinterpret_cast<float*>(scratch.data());
  std::fill_n(floats, attention_scratch_floats(c.group, c.head_dim), NAN);
  AttentionTask task{};
  task.q = x.data();
  task.y = y.data();
  task.q_stride = stride;
  task.n_rows = n_rows;
  task.first_position = c.first_position + first_row;
  task.group = c.group;
  task.head_dim = c.head_dim;
  task.sliding_window = c.sliding_window;
  task.kv = &view;
  task.layer = 1;
  task.kv_head = 1;
  task.scratch = floats;
  table.attention(task);
  EXPECT_TRUE(y.guards_intact());
  std::vector<float> out;
  for (size_t row = 0; row < n_rows; ++row) {
    const float* from = y.data() + row * stride;
    out.insert(out.end(), from, from + c.group * c.head_dim);
    for (size_t i = c.group * c.head_dim; i < stride; ++i)
      EXPECT_EQ(from[i], GuardedFloats::kSentinel);
  }
  return out;
}

std::vector<double> attend_in_double(const Cache& cache, const Case& c, const float* q,
                                     size_t position) {
  const size_t end = position + 1;
  const size_t first = c.sliding_window != 0 && end > c.sliding_window ? end - c.sliding_window : 0;
  std::vector<double> weights;
  double largest = -INFINITY, sum = 0;
  for (size_t p = first; p < end; ++p) {
    double score = 0;
    for (size_t d = 0; d < c.head_dim; ++d) score += static_cast<double>(q[d]) * cache.key(p, d);
    weights.push_back(score / std::sqrt(static_cast<double>(c.head_dim)));
    largest = std::max(largest, weights.back());
  }
  for (double& weight : weights) sum += weight = std::exp(weight - largest);
  std::vector<double> out(c.head_dim);
  for (size_t p = first; p < end; ++p) {
    for (size_t d = 0; d < c.head_dim; ++d) out[d] += weights[p - first] / sum * cache.value(p, d);
  }
  return out;
}

constexpr Case kCases[] = {
    {4, 128, 0, 1, 0},     {4, 128, 0, 70, 0},  {4, 64, 63, 3, 0},    {4, 64, 64, 1, 0},
    {1, 16, 5, 33, 0},     {3, 80, 60, 9, 0},   {7, 32, 130, 11, 0},  {1, 2, 0, 20, 0},
    {2, 30, 120, 10, 0},   {40, 16, 62, 4, 0},  {4, 128, 1000, 1, 0}, {4, 64, 990, 12, 0},
    {4, 64, 100, 40, 17},  {2, 32, 0, 140, 64}, {3, 16, 250, 20, 65}, {1, 64, 300, 5, 1},
    {5, 48, 126, 10, 128},
};

TEST(Attention, IsTheWeightedSumOfVisibleValues) {
  Random random(20);
  for (const Case& c : kCases) {
    for (const KvType type : kKvTypes) {
      const Cache cache(random, type, c.head_dim, c.first_position + c.n_rows);
      const std::vector<float> q = random_floats(random, c.n_rows * c.group * c.head_dim, 2.0f);
      const std::vector<float> y = attend(scalar_kernels(), cache, c, q, 0, c.n_rows);
      for (size_t i = 0; i < c.n_rows * c.group; ++i) {
        const std::vector<double> expected =
            attend_in_double(cache, c, q.data() + i * c.head_dim, c.first_position + i / c.group);
        for (size_t d = 0; d < c.head_dim; ++d)
          ASSERT_NEAR(y[i * c.head_dim + d], expected[d], 5e-6)
              << "head_dim " << c.head_dim << " query " << i << " element " << d;
      }
    }
  }
}

TEST(Attention, GivesTheSameBitsHoweverRowsAreSplitAndOnEveryInstructionSet) {
  Random random(21);
  for (const Case& c : kCases) {
    for (const KvType type : kKvTypes) {
      const Cache cache(random, type, c.head_dim, c.first_position + c.n_rows);
      const std::vector<float> q = random_floats(random, c.n_rows * c.group * c.head_dim, 2.0f);
      const std::vector<float> expected = attend(scalar_kernels(), cache, c, q, 0, c.n_rows);
      for (const Kernels& kernels : kernels_here()) {
        for (const size_t chunk : {size_t{1}, size_t{7}, c.n_rows}) {
          std::vector<float> y;
          for (size_t row = 0; row < c.n_rows; row += chunk) {
            const std::vector<float> part =
                attend(kernels.table(), cache, c, q, row, std::min(chunk, c.n_rows - row));
            y.insert(y.end(), part.begin(), part.end());
          }
          ASSERT_TRUE(same_bits(y, expected))
              << kernels.name << " chunks of " << chunk << ", head_dim " << c.head_dim;
        }
      }
    }
  }
}

double error_of_storing(KvType type, float x, float largest) {
  switch (type) {
    case KvType::kF16: return std::fabs(x) * 0x1p-11;
    case KvType::kBF16: return std::fabs(x) * 0x1p-8;
    case KvType::kQ8_0: return largest / 127 * 0.51;
    case KvType::kF32: break;
  }
  return 0;
}

TEST(StoreKv, KeepsEveryNumberAsWellAsTheTypeAllowsAndTouchesNothingElse) {
  Random random(26);
  for (const KvType type : kKvTypes) {
    for (const size_t head_dim : {2, 30, 32, 48, 128}) {
      const KvLayout layout = {type, 1, 1, head_dim};
      const std::vector<float> k = random_floats(random, head_dim, 3.0f);
      const std::vector<float> v = random_floats(random, head_dim, 300.0f);
      std::vector<std::byte> expected;
      for (const Kernels& kernels : kernels_here()) {
        std::vector<std::byte> page(layout.page_bytes(), std::byte{0x5A});
        kernels.table().store_kv(layout, 5, k.data(), v.data(), page.data(),
                                 page.data() + layout.values_offset(0, 0));
        if (expected.empty()) expected = page;
        EXPECT_EQ(page, expected) << kernels.name << " " << kv_type_name(type);
      }
      const size_t per_position = head_dim * layout.element_bytes() + 2 * layout.scales_per_head();
      EXPECT_LE(expected.size() - static_cast<size_t>(std::count(expected.begin(), expected.end(),
                                                                 std::byte{0x5A})),
                2 * per_position);
    }
  }
}

TEST(StoreKv, RoundsToTheNearestNumber) {
  for (const KvType type : kKvTypes) {
    Random random(27);
    const Cache cache(random, type, 48, 70);
    Random again(27);
    for (size_t position = 0; position < 70; ++position) {
      if (position % kPageTokens == 0) {  // the other heads come first, page by page
        const size_t n_places = std::min(70 - position, kPageTokens);
        random_floats(again, 3 * n_places * 2 * 48);
      }
      for (const bool is_key : {true, false}) {
        const std::vector<float> x = random_floats(again, 48);
        for (size_t d = 0; d < 48; ++d) {
          float largest = 0;
          for (size_t i = d / 32 * 32; i < std::min<size_t>(48, d / 32 * 32 + 32); ++i)
            largest = std::max(largest, std::fabs(x[i]));
          const double found = is_key ? cache.key(position, d) : cache.value(position, d);
          ASSERT_NEAR(found, x[d], error_of_storing(type, x[d], largest))
              << kv_type_name(type) << " position " << position << " dimension " << d;
        }
      }
    }
  }
}

// Decoding sees a cache whose later places are still empty; prefill sees them filled.
TEST(Attention, IgnoresLaterPositions) {
  for (const Kernels& kernels : kernels_here()) {
    const Case c = {4, 32, 70, 1, 0};
    Random random(22);
    const std::vector<float> q = random_floats(random, c.group * c.head_dim);
    Random same(23), again(23);
    // Equal seeds, so equal caches; then the later places of one become NaN.
    const Cache filled(same, KvType::kF32, c.head_dim, 128);
    Cache emptied(again, KvType::kF32, c.head_dim, 128);
    const KvView view = emptied.view();
    const KvLayout& layout = view.layout;
    auto* keys = reinterpret_cast<float*>(view.pages[1] + layout.keys_offset(1, 1));
    auto* values = reinterpret_cast<float*>(view.pages[1] + layout.values_offset(1, 1));
    for (size_t place = 7; place < kPageTokens; ++place) {
      for (size_t d = 0; d < c.head_dim; ++d) {
        keys[layout.key_index(place, d)] = NAN;
        values[layout.value_index(place, d)] = NAN;
      }
    }
    EXPECT_TRUE(same_bits(attend(kernels.table(), filled, c, q, 0, 1),
                          attend(kernels.table(), emptied, c, q, 0, 1)));
  }
}

TEST(Attention, NeverTouchesPagesBehindTheWindow) {
  for (const Kernels& kernels : kernels_here()) {
    const Case c = {4, 32, 200, 20, 30};
    Random random(24);
    Cache cache(random, KvType::kF16, c.head_dim, 220);
    const std::vector<float> q = random_floats(random, c.n_rows * c.group * c.head_dim);
    const std::vector<float> expected = attend(kernels.table(), cache, c, q, 0, c.n_rows);
    cache.drop_page(0);
    cache.drop_page(1);  // position 200 sees 171 and later
    EXPECT_TRUE(same_bits(attend(kernels.table(), cache, c, q, 0, c.n_rows), expected));
  }
}

TEST(Attention, StandsLargeScores) {
  Random random(25);
  const Case c = {2, 64, 150, 3, 0};
  const Cache cache(random, KvType::kF32, c.head_dim, 153);
  const std::vector<float> q = random_floats(random, c.n_rows * c.group * c.head_dim, 1000.0f);
  for (const Kernels& kernels : kernels_here()) {
    for (const float y : attend(kernels.table(), cache, c, q, 0, c.n_rows))
      ASSERT_TRUE(std::isfinite(y));
  }
}

}  // namespace
}  // namespace mixtral::cpu
