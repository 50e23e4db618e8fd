// Patterns: their hash, their counts, their order.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "counts/insert.h"
#include "counts/sort.h"
#include "hash/hash.h"
#include "support/check.h"
#include "support/support.h"

using namespace reluflow;

TEST(words_are_splitmix64) {
  const std::vector<uint64_t> words = unit_words(1, 1234567);
  CHECK_EQ(words[0], 6457827717110365317u);
  CHECK_EQ(words[1], 3203168211198807973u);
}

namespace {

/// What fingerprints of `[outer, units, inner]` should be, above 0.25.
template <class T>
struct Want {
  std::vector<uint64_t> keys;
  std::vector<int64_t> active;
  int64_t nonfinite = 0;

  Want(const std::vector<T>& x, int64_t outer, int64_t units, int64_t inner,
       const std::vector<uint64_t>& words)
      : keys(2 * static_cast<size_t>(outer * inner), 0), active(static_cast<size_t>(units), 0) {
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t u = 0; u < units; ++u) {
        for (int64_t i = 0; i < inner; ++i) {
          const T v = x[static_cast<size_t>((o * units + u) * inner + i)];
          nonfinite += !std::isfinite(v);
          if (!(v > T{0.25})) continue;
          ++active[static_cast<size_t>(u)];
          for (size_t h = 0; h < 2; ++h) {
            keys[2 * static_cast<size_t>(o * inner + i) + h] ^=
                words[2 * static_cast<size_t>(u) + h];
          }
        }
      }
    }
  }
};

std::vector<float> odd_floats(size_t n, std::mt19937& rng) {
  std::vector<float> x = test::random_floats(n, rng);
  for (size_t i = 0; i < x.size(); i += 11) {
    const float odd[] = {0.25f, std::numeric_limits<float>::quiet_NaN(),
                         -std::numeric_limits<float>::infinity(),
                         std::numeric_limits<float>::infinity()};
    x[i] = odd[rng() % 4];
  }
  return x;
}

constexpr int64_t kShapes[][3] = {{1, 1, 1},    {3, 5, 1},     {700, 33, 1}, {2, 3, 5},
                                  {1, 70, 600}, {2, 64, 49},   {5, 0, 3},    {0, 4, 2},
                                  {2, 513, 1},  {1, 9, 1037},  {4, 17, 16},  {600, 1, 1},
                                  {1, 3, 5000}, {70, 4101, 1}, {9, 800, 65}};

/// Ranges cut anywhere, one after the other, give what the whole gives.
template <class T>
void check_ranges(const Kernels& kernels, const std::vector<T>& x, const int64_t (&shape)[3]) {
  const auto [outer, units, inner] = shape;
  const int64_t samples = outer * inner;
  const std::vector<uint64_t> words = unit_words(units, 5);
  const Want<T> want(x, outer, units, inner, words);
  std::vector<uint64_t> keys(2 * static_cast<size_t>(samples), 77);
  std::vector<int64_t> active(static_cast<size_t>(units), 0);
  int64_t bad = 0;
  for (int64_t begin = 0, step = 1; begin < samples; begin += step, step = 3 * step + 1) {
    bad += hash_range<T>(kernels, {x.data(), units, inner, T{0.25}, words.data(), begin,
                                   std::min(begin + step, samples), keys.data(), active.data()});
  }
  const std::string where = std::string(kernels.name) + " " + std::to_string(units);
  CHECK_EQ_AT(keys == want.keys, true, where);
  CHECK_EQ_AT(active == want.active, true, where);
  CHECK_EQ_AT(bad, want.nonfinite, where);
}

}  // namespace

TEST(ranges_of_floats_and_doubles_agree_with_the_plain_meaning) {
  std::mt19937 rng(2);
  for (const auto& shape : kShapes) {
    const size_t n = static_cast<size_t>(shape[0] * shape[1] * shape[2]);
    const std::vector<float> floats = odd_floats(n, rng);
    const std::vector<double> doubles(floats.begin(), floats.end());
    for (const Kernels* kernels : test::tables()) {
      check_ranges(*kernels, floats, shape);
      check_ranges(*kernels, doubles, shape);
    }
  }
}

TEST(fingerprints_agree_with_the_plain_meaning) {
  std::mt19937 rng(1);
  for (const auto& [outer, units, inner] : kShapes) {
    const size_t samples = static_cast<size_t>(outer * inner);
    const std::vector<float> x = odd_floats(samples * static_cast<size_t>(units), rng);
    const std::vector<uint64_t> words = unit_words(units, 5);
    const Want<float> want(x, outer, units, inner, words);
    for (const Kernels* k : test::tables()) {
      test::Threads runner(3);
      std::vector<uint64_t> keys(2 * samples, 77);
      std::vector<int64_t> active(static_cast<size_t>(units), 77);
      int64_t bad = 77;
      CHECK_EQ(run_hash(runner, {*k, x.data(), outer, units, inner, 0.25f, words.data(),
                                 keys.data(), active.data(), &bad}),
               true);
      const std::string where = std::string(k->name) + " " + std::to_string(units);
      CHECK_EQ_AT(keys == want.keys, true, where);
      CHECK_EQ_AT(active == want.active, true, where);
      CHECK_EQ_AT(bad, want.nonfinite, where);
    }
  }
}

namespace {

using Pattern = std::pair<uint64_t, uint64_t>;

/// Random keys, of which about one in `repeats` is new.
std::vector<uint64_t> random_keys(size_t n, uint64_t repeats, std::mt19937& rng) {
  std::vector<uint64_t> keys;
  for (size_t i = 0; i < n; ++i) {
    const uint64_t pattern = repeats > 1 ? rng() % (n / repeats + 1) : i;
    keys.push_back(pattern * 0x9e3779b97f4a7c15u);
    keys.push_back(pattern << 7);
  }
  return keys;
}

/// Key -> (count, first) of records, which must be unique.
std::map<Pattern, Pattern> as_map(const std::vector<uint64_t>& records, uint64_t used) {
  std::map<Pattern, Pattern> found;
  for (const uint64_t* r = records.data(); r != records.data() + 4 * used; r += 4) {
    CHECK_EQ(found.emplace(Pattern{r[0], r[1]}, Pattern{r[2], r[3]}).second, true);
  }
  return found;
}

std::map<Pattern, Pattern> plain_counts(const std::vector<uint64_t>& keys, uint64_t first) {
  std::map<Pattern, Pattern> want;
  for (size_t i = 0; 2 * i < keys.size(); ++i) {
    auto [at, fresh] = want.emplace(Pattern{keys[2 * i], keys[2 * i + 1]}, Pattern{0, first + i});
    ++at->second.first;
  }
  return want;
}

}  // namespace

TEST(keys_are_counted_however_often_counting_stops) {
  std::mt19937 rng(1);
  for (const uint64_t repeats : {uint64_t{1}, uint64_t{2}, uint64_t{50}}) {
    const std::vector<uint64_t> keys = random_keys(1200, repeats, rng);
    std::vector<uint64_t> index(2048, 0);
    std::vector<uint64_t> records(size_t{4} * 1280, 0);
    uint64_t used = 0;
    uint64_t next = 0;
    while (next < 1200) {
      insert_keys({index.data(), index.size(), records.data()}, {keys.data(), 1200, 7}, used + 100,
                  &used, &next);
    }
    CHECK_EQ(as_map(records, used) == plain_counts(keys, 7), true);
  }
}

TEST(shares_of_the_index_add_up) {
  std::mt19937 rng(2);
  const std::vector<uint64_t> keys = random_keys(1000, 3, rng);
  std::vector<uint64_t> index(2048, 0);
  std::vector<uint64_t> records(size_t{4} * 1200, 0);
  uint64_t fresh = 0;
  uint64_t left = 0;
  for (uint64_t low = 0; low < 2048; low += 512) {
    std::vector<uint32_t> positions(1001);
    CountShare share{low, low + 512, 10};
    insert_share({index.data(), index.size(), records.data()}, {keys.data(), 1000, 0},
                 positions.data(), &share);
    CHECK_EQ(share.base >= 10 + fresh, true);
    fresh += share.fresh;
    left += share.left;
  }
  CHECK_EQ(fresh + left >= plain_counts(keys, 0).size(), true);
  CHECK_EQ(left < 20, true);
}

TEST(records_are_sorted_whatever_their_keys) {
  std::mt19937 rng(3);
  for (const uint64_t mask : {~uint64_t{0}, uint64_t{0}, uint64_t{3}, uint64_t{0xfff}}) {
    for (const size_t n : {size_t{0}, size_t{1}, size_t{2}, size_t{49}, size_t{5000}}) {
      std::vector<CountRecord> records;
      for (size_t i = 0; i < n; ++i) {
        const uint64_t random = uint64_t{rng()} << 32 | rng();
        records.push_back({random & mask, i * 0x9e3779b97f4a7c15u, i, random});
      }
      std::vector<CountRecord> found(n);
      sort_records(records.data(), n, found.data());
      auto less = [](const CountRecord& a, const CountRecord& b) {
        return Pattern{a.key0, a.key1} < Pattern{b.key0, b.key1};
      };
      std::sort(records.begin(), records.end(), less);
      bool same = true;
      for (size_t i = 0; i < n; ++i) {
        same = same && !less(records[i], found[i]) && !less(found[i], records[i]) &&
               records[i].count == found[i].count && records[i].first == found[i].first;
      }
      CHECK_EQ(same, true);
    }
  }
}

CHECK_MAIN
