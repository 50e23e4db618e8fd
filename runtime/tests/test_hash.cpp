#include <limits>

#include "check.h"
#include "hash/hash.h"
#include "support.h"

using namespace reluflow;

TEST(words_are_splitmix64) {
  const std::vector<uint64_t> words = unit_words(1, 1234567);
  CHECK_EQ(words[0], 6457827717110365317u);
  CHECK_EQ(words[1], 3203168211198807973u);
}

TEST(fingerprints_agree_with_the_plain_meaning) {
  std::mt19937 rng(1);
  const int64_t shapes[][3] = {{1, 1, 1},    {3, 5, 1},    {700, 33, 1}, {2, 3, 5},
                               {1, 70, 600}, {2, 64, 49},  {5, 0, 3},    {0, 4, 2},
                               {2, 513, 1},  {1, 9, 1037}, {4, 17, 16},  {600, 1, 1}};
  for (const auto& [outer, units, inner] : shapes) {
    const size_t samples = static_cast<size_t>(outer * inner);
    std::vector<float> x = test::random_floats(samples * static_cast<size_t>(units), rng);
    for (size_t i = 0; i < x.size(); i += 11) {
      const float odd[] = {0.25f, std::numeric_limits<float>::quiet_NaN(),
                           -std::numeric_limits<float>::infinity(),
                           std::numeric_limits<float>::infinity()};
      x[i] = odd[rng() % 4];
    }
    const std::vector<uint64_t> words = unit_words(units, 5);
    std::vector<uint64_t> want(2 * samples, 0);
    std::vector<int64_t> want_active(static_cast<size_t>(units), 0);
    int64_t want_bad = 0;
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t u = 0; u < units; ++u) {
        for (int64_t i = 0; i < inner; ++i) {
          const float v = x[static_cast<size_t>((o * units + u) * inner + i)];
          want_bad += !std::isfinite(v);
          if (!(v > 0.25f)) continue;
          ++want_active[static_cast<size_t>(u)];
          for (size_t h = 0; h < 2; ++h) {
            want[2 * static_cast<size_t>(o * inner + i) + h] ^=
                words[2 * static_cast<size_t>(u) + h];
          }
        }
      }
    }
    for (const Kernels* k : test::tables()) {
      test::Threads runner(3);
      std::vector<uint64_t> keys(2 * samples, 77);
      std::vector<int64_t> active(static_cast<size_t>(units), 77);
      int64_t bad = 77;
      run_hash(runner, {*k, x.data(), outer, units, inner, 0.25f, words.data(), keys.data(),
                        active.data(), &bad});
      const std::string where = std::string(k->name) + " " + std::to_string(units);
      CHECK_EQ_AT(keys == want, true, where);
      CHECK_EQ_AT(active == want_active, true, where);
      CHECK_EQ_AT(bad, want_bad, where);
    }
  }
}

CHECK_MAIN
