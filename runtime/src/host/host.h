// The host behind the C ABI: attributes, tensors, threads and memory in C++ terms.
#ifndef RELUFLOW_HOST_HOST_H
#define RELUFLOW_HOST_HOST_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/checked.h"
#include "base/runner.h"
#include "base/status.h"
#include "reluflow/ort_abi.h"

namespace reluflow {

/// Turns a host status into ours and releases it.
Status take_status(const OrtApi* api, OrtStatus* status);

/// Turns our status into the host's; null when all is well.
OrtStatus* give_status(const OrtApi* api, const Status& status);

/// The attributes of a node and its constant inputs, while its kernel is created.
class NodeInfo {
 public:
  NodeInfo(const OrtApi* api, const OrtKernelInfo* info) : api_(api), info_(info) {}

  // Each leaves `out` as it is when the attribute is absent; `found` tells, where given.
  Status read(const char* name, int64_t* out, bool* found = nullptr) const;
  Status read(const char* name, float* out, bool* found = nullptr) const;
  Status read(const char* name, std::string* out) const;
  Status read(const char* name, std::vector<int64_t>* out) const;

  /// The tensor behind input `index` when it is an initializer, else null.
  Status constant(size_t index, const OrtValue** out) const;

  const OrtApi* api() const { return api_; }

 private:
  /// Absent attributes are not an error; anything else is.
  Status settle(const char* name, OrtStatus* status, bool* found) const;

  const OrtApi* api_;
  const OrtKernelInfo* info_;
};

/// A tensor's data, type and shape.
struct Tensor {
  void* data = nullptr;
  int type = abi::kUndefined;
  std::vector<int64_t> dims;

  /// Number of elements; a host has none whose number leaves 64 bits.
  int64_t count() const { return product(dims).value(); }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

/// Reads a tensor; `value` may not be null.
Status open_tensor(const OrtApi* api, const OrtValue* value, Tensor* out);

/// One run of a kernel.
class Call : public Runner {
 public:
  Call(const OrtApi* api, OrtKernelContext* context, const OrtMemoryInfo* memory)
      : api_(api), context_(context), memory_(memory) {}
  ~Call() override;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  /// Input `index`, or nothing when it was left out.
  Status input(size_t index, std::optional<Tensor>* out);
  /// Allocates output `index`.
  Status output(size_t index, const std::vector<int64_t>& dims, void** data);

  void run(size_t items, void (*work)(void*, size_t), void* data) override;
  void* allocate(size_t bytes) override;
  void release(void* memory) override;

 private:
  const OrtApi* api_;
  OrtKernelContext* context_;
  const OrtMemoryInfo* memory_;
  OrtAllocator* allocator_ = nullptr;
};

}  // namespace reluflow

#endif
