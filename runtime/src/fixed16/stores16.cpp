#include "fixed16/stores16.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace reluflow {

namespace {

constexpr int kMostShift = 14;       // of a sum to its value, and of a value of z to its sum
constexpr int kMostUp = 29;          // of a sum whose unit is finer than that of its products
constexpr int64_t kMost = 1 << 29;   // of a sum, and of a bias in its unit
constexpr int kMostNarrowDown = 31;  // from where on any sum of 30 bits rounds to 0
constexpr int kMostWideDown = 46;    // from where on any sum of 45 bits rounds to 0

/// How sums in the unit of their products come to that of the store: down by `down` bits, rounded.
void set_down(int lane, int down, bool wide, Fixed16Store* s) {
  s->rounds = s->rounds || down > 0;
  if (!wide) {
    down = std::min(down, kMostNarrowDown);
    s->down[lane] = down;
    s->half[lane] = static_cast<int32_t>(int64_t{1} << down >> 1);
    return;
  }
  down = std::min(down, kMostWideDown);
  if (down <= kHighBits) {
    s->left[lane] = kHighBits - down;
    s->half[lane] = 1 << down >> 1;
    s->down[lane] = down;
  } else {
    s->deep = true;
    s->down[lane] = kHighBits;
    s->half2[lane] = 1 << (down - kHighBits) >> 1;
    s->down2[lane] = down - kHighBits;
  }
}

int64_t bias_of(float bias, int exponent) {
  const double b = std::ldexp(static_cast<double>(bias), exponent);
  if (std::isnan(b)) return 0;
  const double most = static_cast<double>(kMost);
  return static_cast<int64_t>(std::nearbyint(std::min(std::max(b, -most), most)));
}

/// How the sum of channel m becomes a value, in lane `lane`.
void set_lane(const Formats16& f, const StoreInputs16& in, const Weights16& weights, int64_t m,
              bool wide, int lane, Fixed16Store* out) {
  const int scale = kMeanBits + f.x_exponent - in.emax[m];  // products are in units 2^-scale
  const int to_y = scale - f.y_exponent;
  const int to_z = in.adds ? scale - f.z_exponent : to_y;
  const int down = std::max(weights.excess(m), std::max(to_y, to_z) - kMostShift);
  const int unit = std::min({down, to_y, to_z});
  const int up = std::min(down - unit, kMostUp);
  set_down(lane, down, wide, out);
  out->raises = out->raises || up > 0;
  out->up[lane] = up;
  out->most[lane] = static_cast<int32_t>(kMost >> up);
  out->shift[lane] = to_y - unit;
  out->z_shift[lane] = to_z - unit;
  const int64_t bias = in.bias ? bias_of(in.bias[m], scale - unit) : 0;
  out->add[lane] = static_cast<int32_t>(bias + (int64_t{1} << out->shift[lane] >> 1));
}

void make_store(const Formats16& formats, const StoreInputs16& in, const Weights16& weights,
                size_t number, Fixed16Store* out) {
  const OutputBlock& block = weights.lanes().blocks()[number];
  std::memset(out, 0, sizeof *out);
  out->low = formats.low;
  out->high = formats.high;
  const bool wide = weights.sums(number).wide;
  for (int lane = 0; lane < kTileLanes; ++lane) {
    const int channel =
        weights.depthwise() ? depthwise16_channel(lane / kLanes, lane % kLanes) : lane;
    if (channel >= block.lanes) continue;
    set_lane(formats, in, weights, block.first + channel, wide, lane, out);
  }
}

/// Whether stores were made from these exponents and this bias.
bool made_from(const Stores16& stores, const StoreInputs16& in) {
  const size_t n = stores.emax.size();
  return stores.adds == in.adds && stores.has_bias == (in.bias != nullptr) &&
         std::memcmp(stores.emax.data(), in.emax, n) == 0 &&
         (in.bias == nullptr || std::memcmp(stores.bias.data(), in.bias, n * sizeof(float)) == 0);
}

}  // namespace

StoreCache16::Lease find_stores16(StoreCache16* cache, const Formats16& formats,
                                  const StoreInputs16& in, const Weights16& weights) {
  if (auto kept = cache->find_if([&](const Stores16& s) { return made_from(s, in); })) return kept;
  const std::vector<OutputBlock>& blocks = weights.lanes().blocks();
  const int64_t n = blocks.back().first + blocks.back().lanes;
  auto made = cache->take(static_cast<int64_t>(blocks.size()));
  made->emax.assign(in.emax, in.emax + n);
  made->bias.assign(in.bias, in.bias ? in.bias + n : in.bias);
  made->has_bias = in.bias != nullptr;
  made->adds = in.adds;
  for (size_t b = 0; b < blocks.size(); ++b) {
    make_store(formats, in, weights, b, &made->stores[b]);
  }
  return cache->put(std::move(made));
}

}  // namespace reluflow
