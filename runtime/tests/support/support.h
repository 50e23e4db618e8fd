// What the tests share: threads, random codes, the tables this processor can run.
#ifndef RELUFLOW_TEST_SUPPORT_H
#define RELUFLOW_TEST_SUPPORT_H

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "base/runner.h"
#include "kernels/cpu.h"
#include "weights/weights.h"

namespace test {

/// Runs work on `threads` threads of its own.
class Threads : public reluflow::Runner {
 public:
  explicit Threads(int threads) : threads_(threads) {}

  void run(size_t items, void (*work)(void*, size_t), void* data) override {
    std::atomic<size_t> next{0};
    auto loop = [&] {
      for (size_t i = next++; i < items; i = next++) work(data, items - 1 - i);
    };
    std::vector<std::thread> pool;
    for (int t = 1; t < threads_; ++t) pool.emplace_back(loop);
    loop();
    for (std::thread& t : pool) t.join();
  }
  void* allocate(size_t bytes) override {
    void* memory = ::operator new(bytes, std::align_val_t{64});
    std::memset(memory, 0xa5, bytes);
    return memory;
  }
  void release(void* memory) override { ::operator delete(memory, std::align_val_t{64}); }

 private:
  int threads_;
};

/// The tables that this processor can run.
inline std::vector<const reluflow::Kernels*> tables() {
  std::vector<const reluflow::Kernels*> found;
  for (const char* name : {"portable", "avx2", "avx512vnni", "neon", "dotprod", "i8mm"}) {
    const reluflow::Kernels* table = nullptr;
    if (reluflow::find_kernels(name, &table).ok()) found.push_back(table);
  }
  return found;
}

/// Bit planes of random words; about one weight in eight is 0.
inline std::vector<uint8_t> random_planes(const reluflow::PsbSpec& spec, std::mt19937& rng,
                                          int least_nibble = 1) {
  const int64_t stride = (spec.count() + 7) / 8;
  std::vector<uint8_t> planes(static_cast<size_t>((spec.p_bits + 5) * stride), 0);
  for (int64_t i = 0; i < spec.count(); ++i) {
    const uint32_t q = rng() & ((1u << spec.p_bits) - 1u);
    const uint32_t span = static_cast<uint32_t>(16 - least_nibble);
    const uint32_t nibble = rng() % 8 == 0 ? 0 : static_cast<uint32_t>(least_nibble) + rng() % span;
    const uint32_t word = q | nibble << spec.p_bits | (rng() & 1u) << (spec.p_bits + 4);
    for (int b = 0; b < spec.p_bits + 5; ++b) {
      planes[static_cast<size_t>(b * stride + i / 8)] |=
          static_cast<uint8_t>(((word >> b) & 1u) << (i % 8));
    }
  }
  return planes;
}

/// The words of all weights in their planes.
inline std::vector<uint32_t> words_of(const std::vector<uint8_t>& planes,
                                      const reluflow::PsbSpec& spec) {
  const size_t count = static_cast<size_t>(spec.count());
  const size_t stride = (count + 7) / 8;
  std::vector<uint32_t> words(count, 0);
  for (size_t i = 0; i < count; ++i) {
    for (size_t b = 0; b < static_cast<size_t>(spec.p_bits) + 5; ++b) {
      words[i] |= ((planes[b * stride + i / 8] >> (i % 8)) & 1u) << b;
    }
  }
  return words;
}

/// The plain meaning of c: p16 summed over the weights of the channel that stand before weight i.
inline int carried(const std::vector<uint32_t>& words, const reluflow::PsbSpec& spec, size_t i) {
  auto kind = [&](size_t at) {
    const uint32_t word = words[at] >> spec.p_bits;
    return (word & 15u) * 2 + (word >> 4);
  };
  const size_t per_channel = static_cast<size_t>(spec.weights_per_channel);
  const size_t first = i / per_channel * per_channel;
  uint32_t sum = 0;
  for (size_t at = first; at < first + per_channel; ++at) {
    if (kind(at) > kind(i) || (kind(at) == kind(i) && at >= i)) continue;
    sum += (words[at] & ((1u << spec.p_bits) - 1u)) << (16 - spec.p_bits);
  }
  return static_cast<int>(sum & 0xffffu);
}

inline std::vector<float> random_floats(size_t count, std::mt19937& rng) {
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& v : values) v = normal(rng);
  return values;
}

inline uint32_t bits(float v) {
  uint32_t b;
  std::memcpy(&b, &v, sizeof b);
  return b;
}

/// The plain meaning of a sum: exact blocks of 64 pairs, rounded, added in order, scaled.
class BlockSum {
 public:
  void add(int64_t product) { exact_ += product; }
  void end_of_pair() {
    if (++pairs_ == 64) close();
  }
  float scaled(int exponent, const float* bias, const float* z, const reluflow::PsbSpec& spec) {
    if (pairs_ > 0) close();
    float y = static_cast<float>(std::ldexp(static_cast<double>(total_), exponent));
    if (bias) y += *bias;
    if (z) y += *z;
    if (spec.activation == reluflow::Activation::kNone) return y;
    if (y < spec.low()) return spec.low();
    return y > spec.high() ? spec.high() : y;
  }

 private:
  void close() {
    const float block = static_cast<float>(exact_);
    total_ = first_ ? block : total_ + block;
    first_ = false;
    exact_ = 0;
    pairs_ = 0;
  }

  int64_t exact_ = 0;
  int pairs_ = 0;
  float total_ = 0;
  bool first_ = true;
};

/// The plain meaning of a quantised activation.
inline int quantised(float x, int f, int limit) {
  if (x != x) return 0;
  const double t = std::nearbyint(std::ldexp(static_cast<double>(x), f));
  return static_cast<int>(t < -limit ? -limit : t > limit ? limit : t);
}

}  // namespace test

#endif
