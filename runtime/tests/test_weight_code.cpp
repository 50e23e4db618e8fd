#include "support/check.h"
#include "support/support.h"
#include "weights/exact_runs.h"
#include "weights/lanes.h"
#include "weights/weight_code.h"

using namespace reluflow;

namespace {

PsbSpec spec_of(int64_t channels, int64_t per_channel, int p_bits) {
  PsbSpec spec;
  spec.channels = channels;
  spec.weights_per_channel = per_channel;
  spec.p_bits = p_bits;
  return spec;
}

}  // namespace

TEST(one_weight_is_read_from_its_planes) {
  // p_bits 4, q = 5, nibble = 13 (j = 2), negative: word 1 1101 0101.
  std::vector<uint8_t> planes = {1, 0, 1, 0, 1, 0, 1, 1, 1};
  WeightCode code;
  CHECK(unpack_planes(planes.data(), spec_of(1, 1, 4), &code).ok());
  CHECK_EQ(code.p16[0], 5 << 12);
  CHECK_EQ(int{code.sign_shift[0]}, 0x80 | 2);
}

TEST(bits_behind_the_last_weight_are_refused) {
  std::vector<uint8_t> planes(9, 0);
  planes[3] = 2;
  WeightCode code;
  const Status status = unpack_planes(planes.data(), spec_of(1, 1, 4), &code);
  CHECK_HAS(status.message(), "bits set behind its last weight, number 0");
}

TEST(a_zero_weight_stays_zero_for_every_n) {
  WeightCode code;
  code.per_channel = 1;
  code.p16 = {0};
  code.carried = {0};
  code.sign_shift = {kZeroShift};
  for (int log2_n = 0; log2_n <= 6; ++log2_n) {
    for (const Sampler sampler : {Sampler::kNearest, Sampler::kSystematic, Sampler::kBinomial}) {
      CHECK_EQ(draw_weight(code, 0, {log2_n, sampler, 5}, make_key(5, 0)), 0);
    }
  }
}

TEST(samples_are_checked) {
  Precision precision;
  for (const int64_t good : {0, 1, 2, 4, 8, 16, 32, 64}) {
    CHECK(read_precision({}, good, 1, &precision).ok());
    CHECK_EQ(precision.n(), good == 0 ? 64 : good);
  }
  for (const int64_t bad : {-1, 3, 63, 128}) {
    CHECK_HAS(read_precision({}, bad, 1, &precision).message(),
              "samples is " + std::to_string(bad) + ", but 1, 2, 4");
  }
}

TEST(random_bits_are_those_of_the_contract) {
  const Key key = make_key(1, 0);
  const uint32_t a = lowbias(1u ^ 0x9e3779b9u);
  CHECK_EQ(key.a, a);
  CHECK_EQ(key.b, lowbias(a + 0x85ebca6bu));
  CHECK_EQ(random_bits(key, 7), lowbias(lowbias(7u ^ key.a) + key.b));
  CHECK_EQ(at_position(key, 4).a, lowbias(key.a ^ (5u * 0xc2b2ae35u)));
}

TEST(probabilities_are_carried_in_order_of_size_and_sign) {
  // Two channels of 40 weights; in each, every c is the sum over all weights that stand before.
  std::mt19937 rng(8);
  for (const int p_bits : {1, 4, 8, 16}) {
    const PsbSpec spec = spec_of(2, 40, p_bits);
    const std::vector<uint8_t> planes = test::random_planes(spec, rng, 10);
    const std::vector<uint32_t> words = test::words_of(planes, spec);
    WeightCode code;
    CHECK(unpack_planes(planes.data(), spec, &code).ok());
    for (size_t i = 0; i < 80; ++i) {
      if (((words[i] >> p_bits) & 15u) == 0) continue;
      CHECK_EQ_AT(int{code.carried[i]}, test::carried(words, spec, i), std::to_string(i));
    }
  }
}

TEST(channels_share_one_offset) {
  // n = 4, p = 1/2 and 1/4 of one size, then 3/4 of the next size: c = 0, 1/2 and 3/4.
  WeightCode code;
  const PsbSpec spec = spec_of(1, 3, 4);
  // q = 8, 4, 12: bit 2 of weights 1 and 2, bit 3 of weights 0 and 2; nibbles 7, 7, 15.
  const std::vector<uint8_t> planes = {0, 0, 6, 5, 7, 7, 7, 4, 0};
  CHECK(unpack_planes(planes.data(), spec, &code).ok());
  CHECK_EQ(int{code.carried[0]}, 0);
  CHECK_EQ(int{code.carried[1]}, 0x8000);
  CHECK_EQ(int{code.carried[2]}, 0xc000);
  const Key key = make_key(3, 1);
  for (int log2_n = 0; log2_n <= 6; ++log2_n) {
    const uint32_t u = random_bits(key, 0) & 0xffffu;
    const ChannelDraw draw(code, 0, {log2_n, Sampler::kSystematic, 3}, key);
    for (int64_t i = 0; i < 3; ++i) {
      const uint32_t n = 1u << log2_n;
      const uint32_t r = (u + n * code.carried[static_cast<size_t>(i)]) % 65536u;
      CHECK_EQ(draw.count(i), (n * code.p16[static_cast<size_t>(i)] + r) / 65536u);
    }
  }
}

TEST(sums_of_systematic_draws_miss_their_mean_by_less_than_one) {
  WeightCode code;
  code.per_channel = 500;
  code.sign_shift.assign(500, 3);
  uint16_t before = 0;
  for (int i = 0; i < 500; ++i) {
    code.p16.push_back(static_cast<uint16_t>(i * 7919));
    code.carried.push_back(before);
    before = static_cast<uint16_t>(before + code.p16.back());
  }
  for (int log2_n = 0; log2_n <= 6; ++log2_n) {
    const ChannelDraw draw(code, 0, {log2_n, Sampler::kSystematic, 9}, make_key(9, 2));
    double miss = 0;
    for (int64_t i = 0; i < 500; ++i) {
      miss += draw.count(i) - (1 << log2_n) * (code.p16[static_cast<size_t>(i)] / 65536.0);
      CHECK(std::abs(miss) < 1);
    }
  }
}

TEST(mean_of_the_draws_is_n_p) {
  // Variance of the mean of 2^14 draws is below n / 4 / 2^14: six sigma of it is the margin.
  WeightCode code;
  code.per_channel = 1;
  code.p16.assign(16384, 19661);
  code.carried.assign(16384, 0);
  code.sign_shift.assign(16384, 0);
  for (const Sampler sampler : {Sampler::kSystematic, Sampler::kBinomial}) {
    for (int log2_n = 0; log2_n <= 6; ++log2_n) {
      const Precision precision{log2_n, sampler, 9};
      double sum = 0;
      for (int64_t i = 0; i < 16384; ++i) {
        sum += ChannelDraw(code, i, precision, make_key(9, 2)).count(i);
      }
      const double want = precision.n() * (19661 / 65536.0);
      const double margin = 6 * std::sqrt(precision.n() / 4.0 / 16384.0);
      CHECK(std::abs(sum / 16384 - want) < margin);
    }
  }
}

TEST(sub_blocks_are_short_enough_and_not_shorter) {
  const PairOrder order = channel_pairs(256, 1);
  WeightCode code;
  code.per_channel = 256;
  code.p16.assign(256, 0);
  code.sign_shift.assign(256, 0);  // |w'| up to 2^14 each
  // 2^14 * 2 weights * S pairs * limit < 2^31
  CHECK_EQ(safe_sub_pairs(code, 0, order, 32767), 2);
  CHECK_EQ(safe_sub_pairs(code, 0, order, 2047), 32);
  CHECK_EQ(safe_sub_pairs(code, 0, order, 1023), 64);
  code.sign_shift.assign(256, kZeroShift);
  CHECK_EQ(safe_sub_pairs(code, 0, order, 32767), 64);
}

TEST(runs_reach_to_what_int32_holds_and_no_further) {
  const PairOrder order = channel_pairs(8, 1);
  WeightCode code;
  code.per_channel = 8;
  code.sign_shift.assign(16, 0);  // |w'| up to 2^14 each
  for (size_t i = 8; i < 16; ++i) code.sign_shift[i] = i % 2 ? kNegative : 0;
  const int64_t fits = kRunMost >> 15;  // times one pair of the largest weights it is kRunMost
  CHECK_EQ(fits << 15, kRunMost);
  const auto runs = [&](int64_t first, int64_t most, bool negative) {
    return exact_runs(code, order, {first, 1}, {{most, negative}}).front();
  };
  const std::vector<int64_t> each = {1, 2, 3, 4};
  const std::vector<int64_t> one = {4};
  const std::vector<int64_t> two = {2, 4};
  CHECK(runs(0, fits, true) == each);
  CHECK(runs(0, fits / 2, true) == two);
  CHECK(runs(0, fits / 2 + 1, true) == each);
  CHECK(runs(0, fits / 4, true) == one);
  CHECK(runs(0, fits, false) == each);
  CHECK(runs(1, fits, true) == each);
  CHECK(runs(1, fits, false) == two);  // half of the weights are negative
  CHECK(runs(1, fits / 2, false) == one);
  // Both channels at once: as short as the shorter.
  CHECK(exact_runs(code, order, {0, 2}, {{fits, false}}).front() == each);
  PairOrder blocks = order;
  blocks.ends = {1, 4};
  const std::vector<int64_t> cut = {1, 4};
  CHECK(exact_runs(code, blocks, {1, 1}, {{fits / 2, false}}).front() == cut);
}

TEST(rows_side_by_side_end_their_runs_together) {
  WeightCode code;
  code.per_channel = 3;
  code.sign_shift = {0, 0, 5};
  PairOrder order;
  order.pairs = {{0, 1}, {2, -1}, {-1, 0}, {1, 2}};  // two rows of two pairs
  order.ends = {2, 4};
  const int64_t fits = kRunMost >> 15;
  const std::vector<int64_t> each = {1, 2};
  const std::vector<int64_t> one = {2};
  CHECK(row_runs(code, order, 0, {fits, true}) == each);
  CHECK(row_runs(code, order, 0, {fits * 64 / 65, true}) == one);
  CHECK(row_runs(code, order, 0, {fits * 64 / 65 + 1, true}) == each);
}

TEST(factors_give_every_weight) {
  for (int log2_n = 0; log2_n <= 6; ++log2_n) {
    for (int total = 1 << log2_n; total <= 2 << log2_n; ++total) {
      for (int code = 0; code < 32; ++code) {
        const int j = code & 15;
        const int shift = 13 - log2_n - j;
        const int magnitude = shift >= 0 ? total << shift : (total + (1 << (-shift - 1))) >> -shift;
        const int want = j == kZeroShift ? 0 : code & 16 ? -magnitude : magnitude;
        const uint8_t sign_shift = static_cast<uint8_t>(j | (code & 16 ? kNegative : 0));
        const int product = ((total << (13 - log2_n)) + 1) * sampled_factor(sign_shift);
        CHECK_EQ(((product >> 14) + 1) >> 1, want);
      }
    }
  }
}

TEST(the_mean_of_small_weights_is_exact) {
  // Over all offsets, whatever was left over before: the sum of w' is the value, to the last bit.
  for (const int j : {8, 11, 13, 14}) {
    for (const uint16_t p16 : {0, 1, 21846, 65535}) {
      for (const int sign : {0, 0x80}) {
        const uint8_t sign_shift = static_cast<uint8_t>(j | sign);
        const int32_t value = small_value(p16, sign_shift);
        int64_t sum = 0;
        int least = 1000;
        int most = -1000;
        for (uint32_t offset = 0; offset <= kSmallMask; ++offset) {
          const int w = small_weight(value, 12345, offset);
          sum += w;
          least = std::min(least, w);
          most = std::max(most, w);
        }
        CHECK_EQ(sum, int64_t{value});
        CHECK(most - least <= 1);
        CHECK(std::max(-least, most) <= weight_bound(sign_shift));
      }
    }
  }
}

TEST(sums_of_small_weights_miss_their_mean_by_less_than_one) {
  std::mt19937 rng(4);
  PsbSpec spec = spec_of(3, 333, 8);
  spec.carried_rounding = true;
  std::vector<uint8_t> planes = test::random_planes(spec, rng);
  WeightCode code;
  CHECK(unpack_planes(planes.data(), spec, &code).ok());
  for (const Sampler sampler : {Sampler::kNearest, Sampler::kSystematic, Sampler::kBinomial}) {
    for (int64_t m = 0; m < 3; ++m) {
      const ChannelDraw draw(code, m, {6, sampler, 9}, make_key(9, 2));
      double miss = 0;
      for (int64_t i = m * 333; i < (m + 1) * 333; ++i) {
        const size_t at = static_cast<size_t>(i);
        const int j = code.sign_shift[at] & 15;
        if (j < kSmallShift || j == kZeroShift) continue;
        miss += draw.weight(i) - small_value(code.p16[at], code.sign_shift[at]) / 131072.0;
        CHECK(std::abs(miss) < 1);
      }
    }
  }
}

TEST(the_bound_covers_every_draw) {
  for (int j = 0; j <= 15; ++j) {
    WeightCode code;
    code.per_channel = 1;
    code.p16 = {static_cast<uint16_t>(j == 15 ? 0 : 65535)};
    code.carried = {0};
    code.sign_shift = {static_cast<uint8_t>(j)};
    for (int log2_n = 0; log2_n <= 6; ++log2_n) {
      for (uint64_t seed = 0; seed < 20; ++seed) {
        const Precision precision{log2_n, Sampler::kSystematic, seed};
        CHECK(draw_weight(code, 0, precision, make_key(seed, 0)) <=
              weight_bound(code.sign_shift[0]));
      }
    }
  }
}

CHECK_MAIN
