#include "inputs/activations.h"
#include "sums/matmul.h"
#include "support/check.h"
#include "support/support.h"

using namespace reluflow;

TEST(products_are_equal_to_the_bit) {
  std::mt19937 rng(1);
  const int64_t shapes[][3] = {{1, 1, 1},     {1, 7, 3},    {5, 128, 64},
                               {70, 129, 65}, {9, 400, 17}, {2, 1, 4}};
  for (const auto& [rows, inner, columns] : shapes) {
    for (const bool per_product : {false, true}) {
      PsbSpec spec;
      spec.channels = columns;
      spec.weights_per_channel = inner;
      spec.per_product = per_product;
      spec.x_bits = rng() % 2 ? 16 : 12;
      spec.activation = rng() % 2 ? Activation::kRelu : Activation::kNone;
      const std::vector<uint8_t> planes = test::random_planes(spec, rng);
      const std::vector<float> a = test::random_floats(static_cast<size_t>(rows * inner), rng);
      const std::vector<float> bias = test::random_floats(static_cast<size_t>(columns), rng);
      const std::vector<float> z = test::random_floats(static_cast<size_t>(rows * columns), rng);
      const bool with_z = rng() % 2;
      const std::vector<int8_t> emax(static_cast<size_t>(columns), -3);
      const Precision precision{static_cast<int>(rng() % 7), Sampler::kSystematic, 11};
      std::unique_ptr<Weights> weights;
      CHECK(Weights::make(planes.data(), spec, {1, columns, inner, 1}, &weights).ok());
      WeightCode code;
      CHECK(unpack_planes(planes.data(), spec, &code).ok());
      test::Threads runner(2);
      const int f = activation_exponent(runner, portable_kernels(), spec, a.data(), rows * inner);
      std::vector<float> want;
      for (int64_t r = 0; r < rows; ++r) {
        Key key = make_key(11, 0);
        if (per_product) key = at_position(key, static_cast<uint32_t>(r));
        for (int64_t m = 0; m < columns; ++m) {
          test::BlockSum sum;
          for (int64_t k = 0; k < inner; ++k) {
            sum.add(
                int64_t{test::quantised(a[static_cast<size_t>(r * inner + k)], f, spec.limit())} *
                draw_weight(code, m * inner + k, precision, key));
            if (k % 2) sum.end_of_pair();
          }
          if (inner % 2) sum.end_of_pair();
          want.push_back(sum.scaled(-3 - 13 - f, &bias[static_cast<size_t>(m)],
                                    with_z ? &z[want.size()] : nullptr, spec));
        }
      }
      for (const Kernels* k : test::tables()) {
        std::vector<float> y(want.size());
        CHECK(run_matmul(runner, {spec, *k, *weights, precision, rows, inner, a.data(), emax.data(),
                                  bias.data(), y.data(), with_z ? z.data() : nullptr})
                  .ok());
        CHECK_EQ_AT(std::memcmp(y.data(), want.data(), y.size() * 4), 0,
                    std::string(k->name) + " " + std::to_string(inner));
      }
    }
  }
}

CHECK_MAIN
