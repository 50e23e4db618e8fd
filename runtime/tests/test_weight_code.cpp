#include "check.h"
#include "lanes.h"
#include "support.h"
#include "weight_code.h"

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
  code.p16 = {0};
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

TEST(mean_of_the_draws_is_n_p) {
  // Variance of the mean of 2^14 draws is below n / 4 / 2^14: six sigma of it is the margin.
  for (const Sampler sampler : {Sampler::kSystematic, Sampler::kBinomial}) {
    for (int log2_n = 0; log2_n <= 6; ++log2_n) {
      const Precision precision{log2_n, sampler, 9};
      const uint16_t p16 = 19661;
      double sum = 0;
      for (uint32_t i = 0; i < 16384; ++i) sum += draw_count(p16, i, precision, make_key(9, 2));
      const double want = precision.n() * (p16 / 65536.0);
      const double margin = 6 * std::sqrt(precision.n() / 4.0 / 16384.0);
      CHECK(std::abs(sum / 16384 - want) < margin);
    }
  }
}

TEST(sub_blocks_are_short_enough_and_not_shorter) {
  const LaneShape shape{1, 1, 256, 1};
  WeightCode code;
  code.p16.assign(256, 0);
  code.sign_shift.assign(256, 0);  // |w'| up to 2^14 each
  // 2^14 * 2 weights * S pairs * limit < 2^31
  CHECK_EQ(safe_sub_pairs(code, 0, shape, 32767), 2);
  CHECK_EQ(safe_sub_pairs(code, 0, shape, 2047), 32);
  CHECK_EQ(safe_sub_pairs(code, 0, shape, 1023), 64);
  code.sign_shift.assign(256, kZeroShift);
  CHECK_EQ(safe_sub_pairs(code, 0, shape, 32767), 64);
}

TEST(the_bound_covers_every_draw) {
  for (int j = 0; j <= 15; ++j) {
    WeightCode code;
    code.p16 = {static_cast<uint16_t>(j == 15 ? 0 : 65535)};
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
