// What the operators need from their host: threads and scratch memory.
#ifndef RELUFLOW_BASE_RUNNER_H
#define RELUFLOW_BASE_RUNNER_H

#include <cstddef>
#include <type_traits>

namespace reluflow {

/// One call's access to the host's thread pool and allocator.
class Runner {
 public:
  virtual ~Runner() = default;

  /// Calls `work(data, i)` for every i in [0, items), in any order and on any thread.
  virtual void run(size_t items, void (*work)(void*, size_t), void* data) = 0;

  /// Returns `bytes` of memory aligned to 64 bytes, or null.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* memory) = 0;
};

/// Calls `work(i)` for every i in [0, items) on the runner's threads.
template <class Work>
void parallel_for(Runner& runner, size_t items, Work&& work) {
  using Plain = std::remove_reference_t<Work>;
  if (items == 1) {
    work(size_t{0});
    return;
  }
  if (items == 0) return;
  runner.run(
      items, [](void* data, size_t i) { (*static_cast<Plain*>(data))(i); },
      const_cast<void*>(static_cast<const void*>(&work)));
}

/// Words packed by one item of work: 32 KB, what a first-level cache holds. Enough that handing the
/// item to a thread is little beside it; the number is a choice, not measured.
constexpr size_t kWordsPerItem = 8192;

/// The most scratch memory that one call requests from its host: a model that needs more is as good
/// as broken, and a host that grants it is killed when the memory is used.
constexpr size_t kMostScratchBytes = size_t{1} << (sizeof(size_t) > 4 ? 32 : 30);

/// Scratch of one call, released when it leaves scope; without memory where too much is requested.
template <class T>
class Scratch {
 public:
  Scratch(Runner& runner, size_t count)
      : runner_(runner),
        data_(count > kMostScratchBytes / sizeof(T)
                  ? nullptr
                  : static_cast<T*>(runner.allocate(sizeof(T) * (count ? count : 1)))) {}
  ~Scratch() {
    if (data_) runner_.release(data_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  T* data() const { return data_; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  Runner& runner_;
  T* data_;
};

/// Divides `total` items into at most `pieces` ranges of nearly equal size.
struct Split {
  size_t total;
  size_t pieces;

  Split(size_t total_, size_t wanted) : total(total_), pieces(wanted < total_ ? wanted : total_) {}
  size_t begin(size_t i) const {
    return total / pieces * i + (i < total % pieces ? i : total % pieces);
  }
  size_t end(size_t i) const { return begin(i + 1); }
};

}  // namespace reluflow

#endif
