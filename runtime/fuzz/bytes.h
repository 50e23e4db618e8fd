// What a fuzzer's bytes mean: numbers, choices and tensors, read from front to back.
#ifndef RELUFLOW_FUZZ_BYTES_H
#define RELUFLOW_FUZZ_BYTES_H

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace fuzz {

/// Reads bytes; behind the last there are zeros, so that any file is an input.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  uint8_t byte() { return at_ < size_ ? data_[at_++] : 0; }

  template <class T>
  T number() {
    T value{};
    uint8_t raw[sizeof(T)];
    for (uint8_t& each : raw) each = byte();
    std::memcpy(&value, raw, sizeof(T));
    return value;
  }

  /// A number from `least` to `most`.
  int64_t range(int64_t least, int64_t most) {
    return least + static_cast<int64_t>(byte() % static_cast<uint64_t>(most - least + 1));
  }

  /// Mostly a small number, sometimes any of 64 bits or one near a power of two.
  int64_t size() {
    const uint8_t kind = byte();
    if (kind < 224) return kind % 8;
    if (kind < 240) return (int64_t{1} << (kind - 224) * 4) - 2 + range(0, 4);
    return number<int64_t>();
  }

  /// From `least` to `usual`, one time in sixteen to `most`: large inputs take most of the time.
  int64_t few(int64_t least, int64_t usual, int64_t most) {
    return range(least, byte() % 16 == 0 ? most : usual);
  }

  bool flag() { return byte() & 1; }

  template <class T, size_t N>
  const T& pick(const T (&from)[N]) {
    return from[byte() % N];
  }

  /// `count` bytes; where the input ends its last 64 come again and again.
  std::vector<uint8_t> fill(size_t count) {
    std::vector<uint8_t> found(count, 0);
    const size_t span = size_ < 64 ? size_ : 64;
    for (size_t i = 0; i < count; ++i)
      found[i] = at_ < size_ ? data_[at_++] : span ? data_[size_ - span + i % span] : 0;
    return found;
  }

 private:
  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
};

/// Ends the process where something that always holds does not.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

}  // namespace fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

#endif
