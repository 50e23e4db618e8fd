#include <limits>

#include "hash/blocked_hash.h"
#include "hash/hash.h"
#include "support/check.h"
#include "support/support.h"

using namespace reluflow;

namespace {

struct Shape {
  int64_t outer, units, inner;
};

/// Plain values with some that are not finite, and the same in blocks; what fills up is hostile.
struct Tensors {
  std::vector<float> plain;
  std::vector<float> blocked;

  Tensors(const Shape& shape, int64_t block, bool with_odd, std::mt19937& rng) {
    const auto& [outer, units, inner] = shape;
    const int64_t stored = (units + block - 1) / block * block;
    plain = test::random_floats(static_cast<size_t>(outer * units * inner), rng);
    const float odd[] = {0.25f,
                         std::numeric_limits<float>::quiet_NaN(),
                         -std::numeric_limits<float>::infinity(),
                         std::numeric_limits<float>::infinity(),
                         std::numeric_limits<float>::signaling_NaN(),
                         std::numeric_limits<float>::denorm_min(),
                         std::numeric_limits<float>::max()};
    for (size_t i = 0; with_odd && i < plain.size(); i += 1 + rng() % 23) plain[i] = odd[rng() % 7];
    blocked.assign(static_cast<size_t>(outer * stored * inner), odd[3]);
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t u = 0; u < units; ++u) {
        for (int64_t i = 0; i < inner; ++i) {
          const int64_t at = ((o * stored / block + u / block) * inner + i) * block + u % block;
          blocked[static_cast<size_t>(at)] =
              plain[static_cast<size_t>((o * units + u) * inner + i)];
        }
      }
    }
  }
};

void check_equal(const Kernels& k, const Shape& shape, int64_t block, const Tensors& x,
                 int threads) {
  const auto& [outer, units, inner] = shape;
  const size_t samples = static_cast<size_t>(outer * inner);
  test::Threads runner(threads);
  std::vector<uint64_t> want(2 * samples, 1), keys(2 * samples + 2, 77);
  std::vector<int64_t> want_active(static_cast<size_t>(units), 1), active(want_active);
  int64_t want_bad = 1, bad = 2;
  const std::vector<uint64_t> plain_words = unit_words(units, 5);
  run_hash(runner, {portable_kernels(), x.plain.data(), outer, units, inner, 0.25f,
                    plain_words.data(), want.data(), want_active.data(), &want_bad});
  const BlockedWords words(units, block, 5);
  CHECK(run_blocked_hash(
      runner, {k, x.blocked.data(), outer, inner, words, 0.25f, keys.data(), active.data(), &bad}));
  const std::string where = std::string(k.name) + " block " + std::to_string(block) + " units " +
                            std::to_string(units) + " inner " + std::to_string(inner);
  CHECK_EQ_AT(keys[2 * samples], 77u, where);
  keys.resize(2 * samples);
  CHECK_EQ_AT(keys == want, true, where);
  CHECK_EQ_AT(active == want_active, true, where);
  CHECK_EQ_AT(bad, want_bad, where);
}

}  // namespace

TEST(blocked_tensors_hash_as_plain_ones) {
  std::mt19937 rng(1);
  const Shape shapes[] = {{1, 1, 1},   {1, 16, 1},  {2, 17, 3},   {1, 8, 7},    {3, 24, 4},
                          {1, 5, 9},   {2, 64, 49}, {1, 33, 196}, {1, 3, 1100}, {2, 130, 65},
                          {1, 600, 5}, {0, 4, 2},   {2, 4, 0},    {1, 31, 16},  {1, 2049, 8}};
  for (const Shape& shape : shapes) {
    for (const int64_t block : {int64_t{8}, int64_t{16}}) {
      for (const bool with_odd : {false, true}) {
        const Tensors x(shape, block, with_odd, rng);
        for (const Kernels* k : test::tables()) check_equal(*k, shape, block, x, 3);
      }
    }
  }
}

TEST(words_of_four_units_are_ready_made) {
  const std::vector<uint64_t> plain = unit_words(5, 9);
  const BlockedWords words(5, 8, 9);
  CHECK_EQ(words.blocks(), 1);
  CHECK_EQ(words.words.size(), 16u);
  CHECK_EQ(words.nibbles[2 * 11], plain[0] ^ plain[2] ^ plain[6]);
  CHECK_EQ(words.nibbles[32 + 2 * 15 + 1], plain[9]);
}

CHECK_MAIN
