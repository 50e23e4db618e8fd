#include <cmath>
#include <limits>

#include "inputs/activations.h"
#include "support/check.h"
#include "support/support.h"

using namespace reluflow;

namespace {

int exponent(float m, int limit) { return exponent_of(test::bits(m), limit); }

}  // namespace

TEST(exponent_is_the_largest_that_fits) {
  std::mt19937 rng(1);
  for (int i = 0; i < 2000; ++i) {
    const float m = std::ldexp(1.0f + static_cast<float>(rng() % 4096) / 4096.0f,
                               static_cast<int>(rng() % 180) - 90);
    for (const int x_bits : {2, 8, 12, 16}) {
      const int limit = (1 << (x_bits - 1)) - 1;
      const int f = exponent(m, limit);
      CHECK(std::ldexp(double{m}, f) <= limit);
      CHECK(std::ldexp(double{m}, f + 1) > limit || f == 100);
    }
  }
}

TEST(exponent_is_clamped_and_zero_for_zero) {
  CHECK_EQ(exponent(0.0f, 2047), 0);
  CHECK_EQ(exponent(2047.0f, 2047), 0);
  CHECK_EQ(exponent(2047.5f, 2047), -1);
  CHECK_EQ(exponent(std::numeric_limits<float>::denorm_min(), 2047), 100);
  CHECK_EQ(exponent(std::numeric_limits<float>::max(), 2047), -100);
}

TEST(tensor_exponent_ignores_what_is_not_finite) {
  test::Threads runner(3);
  PsbSpec spec;
  std::vector<float> x(100000, 0.25f);
  x[77777] = -1.5f;
  x[3] = std::numeric_limits<float>::infinity();
  x[4] = std::numeric_limits<float>::quiet_NaN();
  for (const Kernels* k : test::tables()) {
    const int f = activation_exponent(runner, *k, spec, x.data(), static_cast<int64_t>(x.size()));
    CHECK_EQ_AT(f, exponent(1.5f, 2047), k->name);
  }
  spec.calibrated = true;
  spec.x_exponent = -7;
  CHECK_EQ(activation_exponent(runner, portable_kernels(), spec, x.data(), 5), -7);
}

TEST(scales_round_once) {
  for (int e = -241; e <= 214; ++e) {
    const Scale scale = split_scale(e);
    for (const float sum : {1.0f, 3.0f, 123457.0f, 1.5e9f}) {
      const float want = static_cast<float>(std::ldexp(double{sum}, e));
      CHECK_EQ_AT(sum * scale.a * scale.b, want, std::to_string(e));
    }
  }
}

CHECK_MAIN
