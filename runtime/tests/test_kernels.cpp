// Every table against the portable one, over sizes, tails, misalignment and odd values.
#include <limits>

#include "base/aligned.h"
#include "kernels/kernels.h"
#include "support/check.h"
#include "support/support.h"

using namespace reluflow;

namespace {

const Kernels& plain() { return portable_kernels(); }

std::vector<float> odd_values(size_t count, std::mt19937& rng) {
  std::vector<float> x = test::random_floats(count, rng);
  const float inf = std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < count; i += 7) {
    const float odd[] = {inf,  -inf, std::numeric_limits<float>::quiet_NaN(),  0.0f,  -0.0f,
                         0.5f, 1.5f, std::numeric_limits<float>::denorm_min(), 1e38f, -2.5f};
    x[i] = odd[rng() % 10];
  }
  return x;
}

std::string at(const Kernels& k, int64_t a, int64_t b = 0, int64_t c = 0) {
  return std::string(k.name) + " " + std::to_string(a) + " " + std::to_string(b) + " " +
         std::to_string(c);
}

}  // namespace

TEST(max_abs_bits_agree) {
  std::mt19937 rng(1);
  for (const Kernels* k : test::tables()) {
    for (int64_t n = 0; n < 100; ++n) {
      const std::vector<float> x = odd_values(static_cast<size_t>(n) + 1, rng);
      CHECK_EQ_AT(k->max_abs_bits(x.data() + 1, n), plain().max_abs_bits(x.data() + 1, n),
                  at(*k, n));
    }
  }
}

TEST(packed_rows_agree_with_the_plain_meaning) {
  std::mt19937 rng(2);
  for (const Kernels* k : test::tables()) {
    for (int64_t n = 1; n < 70; ++n) {
      for (const int64_t step : {1, 2, 3}) {
        const int f = static_cast<int>(rng() % 12);
        const std::vector<float> a = odd_values(static_cast<size_t>((n - 1) * step + 2), rng);
        const std::vector<float> b = odd_values(a.size(), rng);
        for (const bool both : {false, true}) {
          std::vector<int32_t> out(static_cast<size_t>(n));
          k->pack_row(a.data() + 1, both ? b.data() + 1 : nullptr, n, step,
                      static_cast<float>(1 << f), 2047.0f, out.data());
          for (int64_t i = 0; i < n; ++i) {
            const size_t from = static_cast<size_t>(1 + i * step);
            const int32_t got = out[static_cast<size_t>(i)];
            CHECK_EQ_AT(static_cast<int16_t>(got & 0xffff), test::quantised(a[from], f, 2047),
                        at(*k, n, step, i));
            CHECK_EQ_AT(got >> 16, both ? test::quantised(b[from], f, 2047) : 0,
                        at(*k, n, step, i));
          }
        }
      }
    }
  }
}

TEST(tiles_agree) {
  std::mt19937 rng(3);
  for (const Kernels* k : test::tables()) {
    for (int pixels = 1; pixels <= k->tile_pixels; ++pixels) {
      for (int vectors = 1; vectors <= 4; ++vectors) {
        for (const int64_t pairs : {1, 2, 63, 64}) {
          std::vector<int32_t> x(400);
          for (int32_t& v : x)
            v = static_cast<int32_t>((rng() & 0x0fff0fff) ^ (rng() & 0xf000f000));
          Aligned<int16_t> w(static_cast<size_t>(pairs * vectors * 32));
          for (size_t i = 0; i < w.size(); ++i)
            w[i] = static_cast<int16_t>(static_cast<int>(rng() % 1025) - 512);
          std::vector<int64_t> taps(static_cast<size_t>(pairs));
          for (int64_t& t : taps) t = static_cast<int64_t>(rng() % 300) * 4;
          const char* from[kMaxPixels];
          for (const char*& p : from) p = reinterpret_cast<const char*>(x.data() + rng() % 100);
          for (const int mode : {kTileRaw, kTileFirst, kTileAdd}) {
            Aligned<float> got(kMaxPixels * kTileLanes);
            Aligned<float> want(kMaxPixels * kTileLanes);
            for (size_t i = 0; i < got.size(); ++i)
              got[i] = want[i] = static_cast<float>(rng() % 999);
            k->tile(pixels, vectors, {from, taps.data(), w.data(), pairs, mode, got.data()});
            for (int p = 0; p < pixels; ++p) {
              plain().tile(
                  1, vectors,
                  {from + p, taps.data(), w.data(), pairs, mode, want.data() + p * kTileLanes});
            }
            CHECK_EQ_AT(std::memcmp(got.data(), want.data(), got.size() * 4), 0,
                        at(*k, pixels, vectors, pairs));
          }
        }
      }
    }
  }
}

TEST(stores_agree) {
  std::mt19937 rng(4);
  for (const Kernels* k : test::tables()) {
    for (int pixels = 1; pixels <= 64; pixels += 3) {
      for (const int lanes : {1, 3, 4, 15, 16, 17, 33, 62, 64}) {
        Aligned<float> sums((64 + kSpareRows) * kTileLanes);
        for (size_t i = 0; i < sums.size(); ++i) sums[i] = static_cast<float>(rng() % 2001) - 1000;
        float a[kTileLanes];
        float b[kTileLanes];
        float bias[kTileLanes];
        for (int i = 0; i < kTileLanes; ++i) {
          a[i] = std::ldexp(1.0f, static_cast<int>(rng() % 9) - 4);
          b[i] = rng() % 9 ? 1.0f : 0.5f;
          bias[i] = static_cast<float>(rng() % 100) / 8 - 6;
        }
        bias[2] = std::numeric_limits<float>::infinity();
        const std::vector<float> z = odd_values(4096, rng);
        for (const int choice : {0, 1, 2, 3, 4, 7}) {
          StoreArgs s{};
          s.sums = sums.data();
          s.pixels = pixels;
          s.lanes = lanes;
          s.scale_a = a;
          s.scale_b = b;
          s.bias = choice & 1 ? bias : nullptr;
          s.clips = choice & 2;
          s.low = -3.0f;
          s.high = 6.0f;
          s.z = choice & 4 ? z.data() : nullptr;
          std::vector<float> got(4096, -77.0f);
          std::vector<float> want(4096, -77.0f);
          for (const bool planar : {true, false}) {
            s.stride = planar ? pixels : lanes;
            s.out = got.data();
            (planar ? k->store_planar : k->store_rows)(s);
            s.out = want.data();
            (planar ? plain().store_planar : plain().store_rows)(s);
            CHECK_EQ_AT(std::memcmp(got.data(), want.data(), got.size() * 4), 0,
                        at(*k, pixels, lanes, choice));
          }
        }
      }
    }
  }
}

TEST(draws_agree_with_the_plain_meaning) {
  std::mt19937 rng(5);
  for (const Kernels* k : test::tables()) {
    for (const int64_t taps : {1, 2, 9, 49, 65}) {
      for (const int64_t channels : {1, 2, 3, 6}) {
        PsbSpec spec;
        spec.channels = 37;
        spec.weights_per_channel = taps * channels;
        const int all_p_bits[] = {1, 2, 4, 8, 16};
        spec.p_bits = all_p_bits[rng() % 5];
        WeightCode code;
        CHECK(unpack_planes(test::random_planes(spec, rng).data(), spec, &code).ok());
        const LaneShape shape{1, 37, channels, taps};
        const LaneCode lanes(code, spec, shape);
        test::Threads runner(2);
        for (const Sampler sampler :
             {Sampler::kSystematic, Sampler::kBinomial, Sampler::kNearest}) {
          const Precision precision{static_cast<int>(rng() % 7), sampler, rng()};
          const Key key = make_key(precision.seed, 3);
          Aligned<int16_t> out(static_cast<size_t>(lanes.sampled_size()));
          lanes.draw(runner, *k, precision, key, out.data());
          for (int64_t m = 0; m < 37; ++m) {
            for (int64_t c = 0; c < channels; ++c) {
              for (int64_t t = 0; t < taps; ++t) {
                const size_t to = static_cast<size_t>(((c / 2 * taps + t) * 48 + m) * 2 + c % 2);
                const int64_t i = (m * channels + c) * taps + t;
                CHECK_EQ_AT(int{out[to]}, draw_weight(code, i, precision, key),
                            at(*k, taps, channels, i));
              }
            }
          }
        }
      }
    }
  }
}

TEST(runs_of_full_size_are_summed_exactly) {
  std::mt19937 rng(8);
  // One pair of the largest products is 2^30: runs of one pair, whose sums may all go one way.
  for (const Kernels* k : test::tables()) {
    for (int pixels = 1; pixels <= k->tile_pixels; ++pixels) {
      for (int vectors = 1; vectors <= 4; ++vectors) {
        const int64_t pairs = 1 + static_cast<int64_t>(rng() % 40);
        const int least = rng() % 2 ? -32767 : 32767;
        std::vector<int16_t> x(static_cast<size_t>(2 * (pairs + pixels)));
        for (int16_t& v : x) v = static_cast<int16_t>(rng() % 3 ? 32767 : least);
        Aligned<int16_t> w(static_cast<size_t>(pairs * vectors * 2 * kLanes));
        for (size_t i = 0; i < w.size(); ++i) w[i] = rng() % 5 ? 16384 : -16384;
        std::vector<int64_t> taps;
        std::vector<int64_t> ends;
        for (int64_t p = 0; p < pairs; ++p) {
          taps.push_back(4 * p);
          ends.push_back(p + 1);
        }
        const char* first[kMaxPixels];
        for (int p = 0; p < pixels; ++p) first[p] = reinterpret_cast<const char*>(&x[2 * p]);
        alignas(64) int32_t low[kMaxPixels * kTileLanes];
        alignas(64) int32_t high[kMaxPixels * kTileLanes] = {};
        k->tile_runs(pixels, vectors,
                     {first, taps.data(), w.data(), ends.data(), pairs, low, high, first[0], 0});
        float sums[kMaxPixels * kTileLanes];
        k->join(low, high, pixels, vectors * kLanes, true, sums);
        for (int p = 0; p < pixels; ++p) {
          for (int lane = 0; lane < vectors * kLanes; ++lane) {
            int64_t want = 0;
            for (int64_t i = 0; i < 2 * pairs; ++i) {
              const int64_t weight = (i / 2 * vectors * kLanes + lane) * 2 + i % 2;
              want += int64_t{x[static_cast<size_t>(2 * p + i)]} * w[static_cast<size_t>(weight)];
            }
            const int i = p * kTileLanes + lane;
            CHECK_EQ_AT(int64_t{high[i]} * (1 << kHighBits) + low[i], want, at(*k, pixels, pairs));
            CHECK_EQ_AT(sums[i], static_cast<float>(want), at(*k, pixels, pairs));
          }
        }
      }
    }
  }
}

TEST(packed_words_agree_with_the_plain_meaning) {
  std::mt19937 rng(7);
  for (const Kernels* k : test::tables()) {
    for (int64_t width = 1; width < 300; width += width < 70 ? 3 : 101) {
      for (const int64_t pad : {0, 1, 2, 5, 40}) {
        for (const int step : {1, 2}) {
          const int64_t stride = width + static_cast<int64_t>(rng() % 3);
          const std::vector<float> x = odd_values(static_cast<size_t>(5 * stride), rng);
          const int64_t n = (width / step + static_cast<int64_t>(rng() % 60)) / 16 * 16 + 16;
          const int64_t first = static_cast<int64_t>(rng() % 6) - 3;
          std::vector<int32_t> out(static_cast<size_t>(6 * n));
          const PackWordsArgs p{x.data(), 5, width, stride, first,   step,      1,
                                pad,      n, 6,     512.0f, 2047.0f, out.data()};
          const auto pixel = [&](int64_t row, int64_t i) {
            if (row < 0 || row >= 5 || i < pad || i >= pad + width) return 0;
            return test::quantised(x[static_cast<size_t>(row * stride + i - pad)], 9, 2047);
          };
          for (const bool neighbours : {false, true}) {
            (neighbours ? k->pack_neighbours : k->pack_words)(p);
            for (int64_t i = 0; i < 6 * n; ++i) {
              const int64_t row = first + i / n * step;
              const int64_t c = i % n;
              const int32_t got = out[static_cast<size_t>(i)];
              const int low = neighbours ? pixel(row, 2 * c) : pixel(row, c);
              const int high = neighbours ? pixel(row, 2 * c + 1) : pixel(row + 1, c);
              CHECK_EQ_AT(static_cast<int16_t>(got & 0xffff), low, at(*k, width, pad, i));
              CHECK_EQ_AT(got >> 16, high, at(*k, width, pad, i));
            }
          }
        }
      }
    }
  }
}

TEST(depthwise_rows_agree) {
  std::mt19937 rng(6);
  const int64_t offsets[3] = {0, 1, 5};
  const float bias = 0.25f;
  for (const Kernels* k : test::tables()) {
    for (int64_t width = 1; width < 150; width += width < 40 ? 1 : 7) {
      for (const int64_t step : {1, 2, 3}) {
        for (const int64_t height : {1, 2, 5, 8, 9}) {
          const int rows = step == 1 ? static_cast<int>(rng() % 2) + 1 : 1;
          const int64_t pass = (width - 1) * step + 6;
          std::vector<int32_t> words(static_cast<size_t>(height * pass + 64));
          for (int32_t& v : words) v = static_cast<int32_t>(rng() & 0x0fff0fffu) - 0x08000000;
          int16_t w[6 * 4];
          for (int16_t& v : w) v = static_cast<int16_t>(rng());
          const size_t pixels = static_cast<size_t>(width * height);
          const std::vector<float> z = test::random_floats(pixels, rng);
          std::vector<float> got(pixels + 1, -77.0f);
          std::vector<float> want(got);
          const int64_t one_run[] = {3};
          const int64_t runs[] = {1, 3};
          DepthwiseArgs d{words.data(),
                          offsets,
                          w,
                          4,
                          3,
                          one_run,
                          1,
                          rows,
                          pass,
                          step,
                          height,
                          width,
                          0.5f,
                          1.0f,
                          &bias,
                          1,
                          0.0f,
                          9e9f,
                          rng() % 2 ? z.data() : nullptr,
                          got.data()};
          k->depthwise(d);
          d.out = want.data();
          plain().depthwise(d);
          CHECK_EQ_AT(std::memcmp(got.data(), want.data(), got.size() * 4), 0,
                      at(*k, width, step, height));
          CHECK_EQ(got.back(), -77.0f);
          d.ends = runs;  // the same sums, as int32 holds them
          d.runs = 2;
          std::fill(want.begin(), want.end(), -77.0f);
          k->depthwise(d);
          CHECK_EQ_AT(std::memcmp(got.data(), want.data(), got.size() * 4), 0,
                      at(*k, width, step, height));
        }
      }
    }
  }
}

TEST(a_forced_kernel_that_does_not_exist_is_refused) {
  const Kernels* k = nullptr;
  const std::string message = find_kernels("sse9", &k).message();
#if defined(__x86_64__)
  CHECK_HAS(message, "RELUFLOW_KERNEL is sse9, but portable, avx2 and avx512vnni are accepted;");
#elif defined(__aarch64__)
  CHECK_HAS(message, "RELUFLOW_KERNEL is sse9, but portable, neon, dotprod and i8mm are accepted;");
#else
  CHECK_HAS(message, "RELUFLOW_KERNEL is sse9, but portable is accepted; give it,");
#endif
}

CHECK_MAIN
