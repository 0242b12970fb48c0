#include <cmath>
#include <limits>

#include "kernel_testing.h"

namespace mixtral::cpu {
namespace {

class OnIsa : public testing::TestWithParam<Kernels> {
 protected:
  void SetUp() override {
    if (!GetParam().run_here()) GTEST_SKIP() << "this machine lacks " << isa_name(GetParam().needs);
  }
  const KernelTable& table() const { return GetParam().table(); }
  const KernelTable& scalar() const { return kernel_table(Isa::kScalar); }
};
INSTANTIATE_TEST_SUITE_P(EveryIsa, OnIsa, testing::ValuesIn(kAllKernels), kernels_test_name);

constexpr size_t kLengths[] = {1, 2, 3, 15, 16, 17, 31, 33, 63, 64, 65, 97, 128, 300};

template <class Chunk>
std::vector<Chunk> quantise(const KernelTable& table, const std::vector<float>& x) {
  constexpr bool kBy32 = std::is_same_v<Chunk, ChunkQ8x32>;
  std::vector<Chunk> out((x.size() + kChunkCols - 1) / kChunkCols);
  std::memset(out.data(), 0, out.size() * sizeof(Chunk));
  GuardedFloats input(x);
  for (size_t col = 0; col < x.size(); col += kChunkCols)
    table.quantise(kBy32 ? ActivationFormat::kQ8x32 : ActivationFormat::kQ8x256, input.data() + col,
                   std::min(kChunkCols, x.size() - col),
                   reinterpret_cast<std::byte*>(&out[col / kChunkCols]));
  return out;
}

// The sum of quants first, first + 1, first + 4, first + 5, ... before `end`.
int pair_sum(const int8_t* quants, size_t first, size_t end) {
  int sum = 0;
  for (size_t i = first; i < end; i += 4) sum += quants[i] + quants[i + 1];
  return sum;
}

std::vector<std::vector<float>> activation_cases() {
  Random random(10);
  std::vector<std::vector<float>> cases = {random_floats(random, 512), random_floats(random, 512)};
  for (size_t i = 0; i < 512; ++i) cases[1][i] *= std::ldexp(1.0f, static_cast<int>(i % 40) - 20);
  cases.push_back(std::vector<float>(512, 0.0f));
  cases.push_back(std::vector<float>(512, -0.0f));
  cases.push_back(std::vector<float>(512, std::numeric_limits<float>::denorm_min()));
  cases.push_back(std::vector<float>(512, std::numeric_limits<float>::min()));
  cases.push_back(std::vector<float>(512, std::numeric_limits<float>::max()));
  cases.push_back(random_floats(random, 512, 1e-37f));
  cases.push_back(random_floats(random, 512, 1e37f));
  std::vector<float> halves(512);  // ties: scale 1, values k + 1/2
  for (size_t i = 0; i < 512; ++i) halves[i] = static_cast<float>(i % 250) - 124.5f;
  for (size_t i = 0; i < 512; i += 32) halves[i] = 127.0f;
  cases.push_back(halves);
  return cases;
}

void expect_half_a_step(float x, int8_t quant, double scale) {
  ASSERT_TRUE(std::isfinite(scale));
  ASSERT_NE(quant, -128);
  // Below 2^-119 or so a block counts as zero; half a step besides, and float rounding.
  ASSERT_LE(std::fabs(x - scale * quant), std::max(0.5001 * scale, 127.1 * 0x1p-126)) << x;
}

TEST_P(OnIsa, QuantisesWithinHalfAStep) {
  for (const std::vector<float>& x : activation_cases()) {
    const auto by_32 = quantise<ChunkQ8x32>(table(), x);
    const auto by_256 = quantise<ChunkQ8x256>(table(), x);
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t c = i / kChunkCols, in_chunk = i % kChunkCols;
      expect_half_a_step(x[i], by_32[c].quants[in_chunk], by_32[c].scales[in_chunk / 32]);
      expect_half_a_step(x[i], by_256[c].quants[in_chunk], by_256[c].scale);
    }
  }
}

TEST_P(OnIsa, SumsUpWhatItQuantised) {
  for (const std::vector<float>& x : activation_cases()) {
    for (const ChunkQ8x32& chunk : quantise<ChunkQ8x32>(table(), x)) {
      for (size_t i = 0; i < 8; ++i) {
        const int low = pair_sum(chunk.quants, 32 * i, 32 * i + 32);
        const int high = pair_sum(chunk.quants, 32 * i + 2, 32 * i + 32);
        ASSERT_EQ(chunk.pairs[i][0], low);
        ASSERT_EQ(chunk.pairs[i][1], high);
        ASSERT_EQ(chunk.scaled_sums[i], chunk.scales[i] * static_cast<float>(low + high));
      }
    }
    for (const ChunkQ8x256& chunk : quantise<ChunkQ8x256>(table(), x)) {
      for (size_t i = 0; i < 16; ++i) {
        const int low = pair_sum(chunk.quants, 16 * i, 16 * i + 16);
        const int high = pair_sum(chunk.quants, 16 * i + 2, 16 * i + 16);
        ASSERT_EQ(chunk.pairs[i][0], low);
        ASSERT_EQ(chunk.pairs[i][1], high);
        ASSERT_EQ(chunk.sums_16[i], low + high);
      }
      for (size_t i = 0; i < 8; ++i)
        ASSERT_EQ(chunk.sums_32[i], chunk.sums_16[2 * i] + chunk.sums_16[2 * i + 1]);
    }
  }
}

TEST_P(OnIsa, QuantisesToTheSameBits) {
  const auto same = [](const auto& a, const auto& b) {
    return std::memcmp(a.data(), b.data(), a.size() * sizeof(a[0])) == 0;
  };
  for (const std::vector<float>& x : activation_cases()) {
    EXPECT_TRUE(same(quantise<ChunkQ8x32>(table(), x), quantise<ChunkQ8x32>(scalar(), x)));
    EXPECT_TRUE(same(quantise<ChunkQ8x256>(table(), x), quantise<ChunkQ8x256>(scalar(), x)));
  }
}

TEST_P(OnIsa, RoundsTiesToEvenWhenQuantising) {
  std::vector<float> x(32, 0.0f);
  const float first[] = {127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f};
  std::copy(std::begin(first), std::end(first), x.begin());
  const auto chunks = quantise<ChunkQ8x32>(table(), x);
  const std::vector<int8_t> expected = {127, 0, 2, 2, 0, -2};
  EXPECT_EQ(std::vector<int8_t>(chunks[0].quants, chunks[0].quants + 6), expected);
}

TEST_P(OnIsa, NormalisesByTheRootMeanSquare) {
  Random random(11);
  for (const size_t n : kLengths) {
    GuardedFloats x(random_floats(random, n, 3.0f)), weight(random_floats(random, n)), y(n);
    table().rms_norm(x.data(), weight.data(), 1e-5f, n, y.data());
    double squares = 0;
    for (size_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    const double factor = 1.0 / std::sqrt(squares / static_cast<double>(n) + 1e-5);
    for (size_t i = 0; i < n; ++i) {
      const double expected = static_cast<double>(x[i]) * factor * static_cast<double>(weight[i]);
      ASSERT_NEAR(y[i], expected, 1e-6 * std::fabs(expected) + 1e-12);
    }
    GuardedFloats same(n);
    scalar().rms_norm(x.data(), weight.data(), 1e-5f, n, same.data());
    EXPECT_TRUE(same_bits(y.values(), same.values())) << n;
    table().rms_norm(x.data(), weight.data(), 1e-5f, n, x.data());  // in place
    EXPECT_TRUE(same_bits(x.values(), y.values())) << n;
    EXPECT_TRUE(y.guards_intact() && x.guards_intact());
  }
}

TEST_P(OnIsa, RotatesPairs) {
  Random random(12);
  for (const size_t head_dim : {2, 4, 16, 30, 64, 128}) {
    const size_t n_heads = 3;
    const std::vector<float> x = random_floats(random, n_heads * head_dim);
    std::vector<float> cosines, sines;
    for (size_t i = 0; i < head_dim / 2; ++i) {
      cosines.push_back(std::cos(0.3f * static_cast<float>(i + 1)));
      sines.push_back(std::sin(0.3f * static_cast<float>(i + 1)));
    }
    GuardedFloats y(x), same(x);
    table().rope(y.data(), n_heads, head_dim, cosines.data(), sines.data());
    scalar().rope(same.data(), n_heads, head_dim, cosines.data(), sines.data());
    EXPECT_TRUE(same_bits(y.values(), same.values()));
    EXPECT_TRUE(y.guards_intact());
    for (size_t head = 0; head < n_heads; ++head) {
      for (size_t i = 0; i < head_dim / 2; ++i) {
        const size_t at = head * head_dim + 2 * i;
        ASSERT_NEAR(y[at], x[at] * cosines[i] - x[at + 1] * sines[i], 1e-6);
        ASSERT_NEAR(y[at + 1], x[at] * sines[i] + x[at + 1] * cosines[i], 1e-6);
      }
    }
  }
}

// Gates from far negative to far positive: e^x is exercised over its whole range.
TEST_P(OnIsa, ComputesSwiGluOverTheWholeRange) {
  std::vector<float> gate;
  for (float g = -120.0f; g <= 120.0f; g += 0.037f) gate.push_back(g);
  for (const float g : {0.0f, -0.0f, 1e-30f, -1e-30f, 1e30f, -1e30f}) gate.push_back(g);
  Random random(13);
  const std::vector<float> up = random_floats(random, gate.size(), 100.0f);
  GuardedFloats y(gate.size()), same(gate.size());
  table().swiglu(gate.data(), up.data(), gate.size(), y.data());
  scalar().swiglu(gate.data(), up.data(), gate.size(), same.data());
  EXPECT_TRUE(same_bits(y.values(), same.values()));
  EXPECT_TRUE(y.guards_intact());
  for (size_t i = 0; i < gate.size(); ++i) {
    const double g = gate[i];
    const double expected = g / (1 + std::exp(-g)) * static_cast<double>(up[i]);
    // Below -88 the true value is under 1e-35 and e^-g overflows to infinity.
    ASSERT_NEAR(y[i], expected, 5e-7 * std::fabs(expected) + 1e-33) << g;
  }
}

TEST_P(OnIsa, HandlesEveryLength) {
  Random random(14);
  for (const size_t n : kLengths) {
    const std::vector<float> a = random_floats(random, n), b = random_floats(random, n);
    GuardedFloats y(n), same(n), sum(b), same_sum(b);
    table().swiglu(a.data(), b.data(), n, y.data());
    scalar().swiglu(a.data(), b.data(), n, same.data());
    EXPECT_TRUE(same_bits(y.values(), same.values())) << n;
    table().add_scaled(a.data(), 0.3f, n, sum.data());
    scalar().add_scaled(a.data(), 0.3f, n, same_sum.data());
    EXPECT_TRUE(same_bits(sum.values(), same_sum.values())) << n;
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(sum[i], std::fma(a[i], 0.3f, b[i]));
    EXPECT_TRUE(y.guards_intact() && sum.guards_intact());
  }
}

TEST_P(OnIsa, PassesNaNOn) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> gate(20, 1.0f), up(20, 1.0f), y(20);
  gate[3] = nan;
  up[17] = nan;
  table().swiglu(gate.data(), up.data(), 20, y.data());
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(std::isnan(y[i]), i == 3 || i == 17) << i;
}

TEST_P(OnIsa, QuantisesToANaNScaleWhatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> x(512, 1.0f);
    x[300] = bad;
    const auto by_256 = quantise<ChunkQ8x256>(table(), x);
    EXPECT_FALSE(std::isnan(by_256[0].scale));
    EXPECT_TRUE(std::isnan(by_256[1].scale));
    const auto by_32 = quantise<ChunkQ8x32>(table(), x);
    EXPECT_TRUE(std::isnan(by_32[1].scales[1]));
    EXPECT_FALSE(std::isnan(by_32[1].scales[0]));
  }
}

}  // namespace
}  // namespace mixtral::cpu
