// Fingerprints of any floats: in blocks as in plain layout, by every table of kernels.
#include "fuzz/bytes.h"
#include "hash/blocked_hash.h"
#include "hash/hash.h"
#include "support/support.h"

using namespace reluflow;

namespace {

struct Found {
  std::vector<uint64_t> keys;
  std::vector<int64_t> active;
  int64_t nonfinite = 0;

  Found(int64_t samples, int64_t units)
      : keys(static_cast<size_t>(2 * samples), 1), active(static_cast<size_t>(units), 1) {}
  bool operator==(const Found& o) const {
    return keys == o.keys && active == o.active && nonfinite == o.nonfinite;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Bytes bytes(data, size);
  const int64_t outer = bytes.range(0, 3);
  const int64_t units = bytes.few(1, 18, 40), inner = bytes.few(0, 3, 20);
  const int64_t block = bytes.flag() ? 8 : 16;
  const uint64_t seed = bytes.number<uint64_t>();
  const float threshold = bytes.flag() ? 0.0f : bytes.number<float>();
  const size_t count = static_cast<size_t>(outer * units * inner);
  const std::vector<uint8_t> raw = bytes.fill(count * sizeof(float));
  std::vector<float> plain(count);
  if (count) std::memcpy(plain.data(), raw.data(), raw.size());

  const int64_t blocks = (units + block - 1) / block;
  std::vector<float> blocked(static_cast<size_t>(outer * blocks * block * inner), INFINITY);
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t u = 0; u < units; ++u) {
      for (int64_t i = 0; i < inner; ++i) {
        const int64_t at = ((o * blocks + u / block) * inner + i) * block + u % block;
        blocked[static_cast<size_t>(at)] = plain[static_cast<size_t>((o * units + u) * inner + i)];
      }
    }
  }

  const std::vector<uint64_t> words = unit_words(units, seed);
  const BlockedWords blocked_words(units, block, seed);
  test::Threads runner(1);
  Found first(outer * inner, units);
  fuzz::require(
      run_hash(runner, {portable_kernels(), plain.data(), outer, units, inner, threshold,
                        words.data(), first.keys.data(), first.active.data(), &first.nonfinite}),
      "there is memory");
  static const std::vector<const Kernels*> tables = test::tables();
  for (const Kernels* kernels : tables) {
    Found other(outer * inner, units);
    run_hash(runner, {*kernels, plain.data(), outer, units, inner, threshold, words.data(),
                      other.keys.data(), other.active.data(), &other.nonfinite});
    fuzz::require(other == first, "all kernels hash alike");
    Found in_blocks(outer * inner, units);
    run_blocked_hash(runner,
                     {*kernels, blocked.data(), outer, inner, blocked_words, threshold,
                      in_blocks.keys.data(), in_blocks.active.data(), &in_blocks.nonfinite});
    fuzz::require(in_blocks == first, "blocks hash as the plain layout");
  }
  return 0;
}
