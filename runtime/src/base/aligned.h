// A growing-once array aligned to 64 bytes, for data that vector kernels read.
#ifndef RELUFLOW_BASE_ALIGNED_H
#define RELUFLOW_BASE_ALIGNED_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

namespace reluflow {

/// `count` zeroed elements on a 64-byte boundary.
template <class T>
class Aligned {
 public:
  Aligned() = default;
  explicit Aligned(size_t count)
      : count_(count), data_(static_cast<T*>(::operator new(bytes(), std::align_val_t{64}))) {
    std::memset(static_cast<void*>(data_.get()), 0, bytes());
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  size_t size() const { return count_; }
  T& operator[](size_t i) { return data_.get()[i]; }
  const T& operator[](size_t i) const { return data_.get()[i]; }

 private:
  struct Free {
    void operator()(T* p) const { ::operator delete(static_cast<void*>(p), std::align_val_t{64}); }
  };
  size_t bytes() const { return sizeof(T) * (count_ ? count_ : 1); }

  size_t count_ = 0;
  std::unique_ptr<T, Free> data_;
};

}  // namespace reluflow

#endif
