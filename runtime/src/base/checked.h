// Sizes that come from outside: products and sums that report when they exceed 64 bits.
#ifndef RELUFLOW_BASE_CHECKED_H
#define RELUFLOW_BASE_CHECKED_H

#include <cstdint>
#include <vector>

namespace reluflow {

constexpr int64_t kMostSize = (int64_t{1} << 31) - 1;  ///< of an attribute, and of all weights
/// Words of an image with all its padding, one channel pair per word: 256 GiB, more than any
/// machine this runs on holds, and far below where products of sizes exceed 64 bits.
constexpr int64_t kMostWords = int64_t{1} << 36;

/// A 64-bit integer that remembers whether it ever overflowed. It starts good.
class Checked {
 public:
  Checked(int64_t value = 0) : value_(value) {}  // NOLINT: a number is one

  bool good() const { return good_; }
  /// The number; without meaning where it is not good.
  int64_t value() const { return value_; }
  bool at_most(int64_t most) const { return good_ && value_ <= most; }

  friend Checked operator+(Checked a, Checked b) { return a.by(b, add); }
  friend Checked operator-(Checked a, Checked b) { return a.by(b, sub); }
  friend Checked operator*(Checked a, Checked b) { return a.by(b, mul); }

 private:
  static bool add(int64_t a, int64_t b, int64_t* out) { return __builtin_add_overflow(a, b, out); }
  static bool sub(int64_t a, int64_t b, int64_t* out) { return __builtin_sub_overflow(a, b, out); }
  static bool mul(int64_t a, int64_t b, int64_t* out) { return __builtin_mul_overflow(a, b, out); }
  Checked by(Checked other, bool (*apply)(int64_t, int64_t, int64_t*)) const {
    Checked result;
    result.good_ = !apply(value_, other.value_, &result.value_) && good_ && other.good_;
    return result;
  }

  int64_t value_;
  bool good_ = true;
};

/// The product of sizes; 0 where one of them is 0, however large the others are.
inline Checked product(const std::vector<int64_t>& sizes) {
  for (const int64_t size : sizes) {
    if (size == 0) return 0;
  }
  Checked all = 1;
  for (const int64_t size : sizes) all = all * size;
  return all;
}

}  // namespace reluflow

#endif
