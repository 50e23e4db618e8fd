#include "grid/stores.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace reluflow {

namespace {

constexpr int kMostShift = 21;      // of a sum to its byte
constexpr int kMostZShift = 20;     // of a byte of z to its sum
constexpr int64_t kMost = 1 << 29;  // of a sum, and of a bias in its unit

int32_t whole_bias(float bias, int scale) {
  const double b = std::ldexp(static_cast<double>(bias), scale);
  const double most = static_cast<double>(kMost);
  if (std::isnan(b)) return 0;
  return static_cast<int32_t>(std::nearbyint(std::min(std::max(b, -most), most)));
}

/// A store whose lanes stand in order of `depthwise_channel`.
void permute(const FixedStore& store, FixedStore* out) {
  *out = store;
  for (int v = 0; v < 4; ++v) {
    for (int i = 0; i < kLanes; ++i) {
      const int to = v * kLanes + i;
      const int from = depthwise_channel(v, i);
      out->add[to] = store.add[from];
      out->shift[to] = store.shift[from];
      out->z_shift[to] = store.z_shift[from];
      out->before[to] = store.before[from];
      out->most[to] = store.most[from];
      out->up[to] = store.up[from];
      out->down[to] = store.down[from];
    }
  }
}

/// Whether stores were made from these exponents and this bias.
bool made_from(const Stores& stores, const StoreInputs& in) {
  const size_t n = stores.emax.size();
  return stores.adds == in.adds && stores.has_bias == (in.bias != nullptr) &&
         std::memcmp(stores.emax.data(), in.emax, n) == 0 &&
         (in.bias == nullptr || std::memcmp(stores.bias.data(), in.bias, n * sizeof(float)) == 0);
}

void make_plain(const FixedFormats& formats, const StoreInputs& in, const GridCode& code,
                Stores* out) {
  const auto& blocks = code.blocks();
  const size_t n = static_cast<size_t>(blocks.back().first + blocks.back().lanes);
  out->emax.assign(in.emax, in.emax + n);
  out->bias.assign(in.bias, in.bias ? in.bias + n : in.bias);
  out->has_bias = in.bias != nullptr;
  out->adds = in.adds;
  out->number = 0;
  for (size_t b = 0; b < blocks.size(); ++b) make_store(formats, in, blocks[b], &out->plain[b]);
}

/// Makes the stores with the sums of a set, and depthwise ones in another order.
void finish(const FixedFormats& formats, const GridCode& code, const GridSet& set, Stores* out) {
  const size_t blocks = code.blocks().size();
  const bool sums = formats.x.zero != 0;
  if (sums && out->whole.size() == 0) out->whole = Aligned<FixedStore>(blocks);
  if (code.depthwise() && out->permuted.size() == 0) out->permuted = Aligned<FixedStore>(blocks);
  for (size_t b = 0; b < blocks; ++b) {
    if (sums) {
      out->whole[b] = out->plain[b];
      subtract_zero(formats.x.zero, set.sums.data() + b * kTileLanes, &out->whole[b]);
    }
    if (code.depthwise()) permute(out->of(b), &out->permuted[b]);
  }
  out->number = set.number;
}

}  // namespace

void make_store(const FixedFormats& formats, const StoreInputs& in, const OutputBlock& block,
                FixedStore* out) {
  std::memset(out, 0, sizeof *out);
  if (formats.floats) return;
  out->low = formats.low;
  out->high = formats.high;
  const int scale = kGridBits + formats.x.exponent;
  for (int lane = 0; lane < block.lanes; ++lane) {
    const int8_t emax = in.emax[block.first + lane];
    // The unit of the sum, 2^(unit - scale): that of the products where both shifts are in bounds.
    int unit = std::max<int>(emax, scale - formats.y.exponent - kMostShift);
    if (in.adds) unit = std::max(unit, scale - formats.z.exponent - kMostZShift);
    unit = std::min(unit, scale - formats.y.exponent);
    if (in.adds) unit = std::min(unit, scale - formats.z.exponent);
    const int up = std::min(std::max(emax - unit, 0), 29);
    out->up[lane] = up;
    out->most[lane] = static_cast<int32_t>(kMost >> up);
    out->down[lane] = std::min(std::max(unit - emax, 0), 30);
    out->adjusts = out->adjusts || unit != emax;
    const int shift = scale - unit - formats.y.exponent;
    out->shift[lane] = shift;
    int64_t add = in.bias ? whole_bias(in.bias[block.first + lane], scale - unit) : 0;
    if (in.adds) {
      out->z_shift[lane] = scale - unit - formats.z.exponent;
      add -= int64_t{formats.z.zero} << out->z_shift[lane];
    }
    add += (int64_t{formats.y.zero} << shift) + ((int64_t{1} << shift) >> 1);
    out->add[lane] = static_cast<int32_t>(add);
  }
}

void subtract_zero(int zero, const int32_t* sums, FixedStore* store) {
  int32_t* to =
      store->adjusts ? store->before : store->add;  // one addition where none lies between
  for (int lane = 0; lane < kTileLanes; ++lane) to[lane] -= zero * sums[lane];
}

StoreCache::Lease find_stores(StoreCache* cache, const FixedFormats& formats, const StoreInputs& in,
                              const GridCode& code, const GridSet* set) {
  // Stores that hold no sums serve every set once they are finished for one.
  const bool any = formats.x.zero == 0;
  const auto finished = [&](const Stores& s) {
    return set == nullptr || (any && !code.depthwise()) || s.number == set->number ||
           (any && s.number != 0);
  };
  auto kept = cache->find_if([&](const Stores& s) { return made_from(s, in) && finished(s); });
  if (kept) return kept;
  auto stores = cache->take(static_cast<int64_t>(code.blocks().size()));
  if (stores->emax.empty() || !made_from(*stores, in)) make_plain(formats, in, code, stores.get());
  if (!finished(*stores)) finish(formats, code, *set, stores.get());
  return cache->put(std::move(stores));
}

}  // namespace reluflow
