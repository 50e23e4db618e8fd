#include "host/host.h"

#include <utility>

namespace reluflow {

namespace {

/// Where the data of a tensor lie. Hosts have no place for those of an empty one; here it gets one,
/// since places in it are computed, though nothing is there to be read or written.
Status data_of(const OrtApi* api, OrtValue* value, void** out) {
  alignas(64) static char nothing[64];
  RELUFLOW_RETURN_IF_BAD(take_status(api, abi::get(api, abi::kGetTensorMutableData)(value, out)));
  if (*out == nullptr) *out = nothing;
  return {};
}

}  // namespace

Status take_status(const OrtApi* api, OrtStatus* status) {
  if (status == nullptr) return {};
  std::string message = abi::get(api, abi::kGetErrorMessage)(status);
  abi::get(api, abi::kReleaseStatus)(status);
  return Status(message.empty() ? "ONNX Runtime reports an error without a message." : message);
}

OrtStatus* give_status(const OrtApi* api, const Status& status) {
  if (status.ok()) return nullptr;
  return abi::get(api, abi::kCreateStatus)(abi::kInvalidArgument, status.message().c_str());
}

Status NodeInfo::settle(const char* name, OrtStatus* status, bool* found) const {
  if (found) *found = status == nullptr;
  if (status == nullptr) return {};
  const Status taken = take_status(api_, status);
  // The host distinguishes "absent" from "of another type" only by its text.
  if (taken.message().find("No attribute with") != std::string::npos) return {};
  return Status("attribute " + std::string(name) + " cannot be read (" + taken.message() +
                "); convert the model again.");
}

Status NodeInfo::read(const char* name, int64_t* out, bool* found) const {
  int64_t value = 0;
  bool there = false;
  const Status status =
      settle(name, abi::get(api_, abi::kAttributeInt)(info_, name, &value), &there);
  if (there) *out = value;
  if (found) *found = there;
  return status;
}

Status NodeInfo::read(const char* name, float* out, bool* found) const {
  float value = 0;
  bool there = false;
  const Status status =
      settle(name, abi::get(api_, abi::kAttributeFloat)(info_, name, &value), &there);
  if (there) *out = value;
  if (found) *found = there;
  return status;
}

Status NodeInfo::read(const char* name, std::string* out) const {
  size_t size = 0;
  bool there = false;
  const auto get = abi::get(api_, abi::kAttributeString);
  RELUFLOW_RETURN_IF_BAD(settle(name, get(info_, name, nullptr, &size), &there));
  if (!there) return {};
  std::string value(size, '\0');
  RELUFLOW_RETURN_IF_BAD(settle(name, get(info_, name, value.data(), &size), nullptr));
  // The size counts the 0 at the end; a text ends at its first one.
  *out = value.substr(0, value.find('\0'));
  return {};
}

Status NodeInfo::read(const char* name, std::vector<int64_t>* out) const {
  size_t size = 0;
  bool there = false;
  const auto get = abi::get(api_, abi::kAttributeInts);
  RELUFLOW_RETURN_IF_BAD(settle(name, get(info_, name, nullptr, &size), &there));
  if (!there) return {};
  std::vector<int64_t> value(size);
  RELUFLOW_RETURN_IF_BAD(settle(name, get(info_, name, value.data(), &size), nullptr));
  *out = std::move(value);
  return {};
}

Status NodeInfo::constant(size_t index, const OrtValue** out) const {
  *out = nullptr;
  size_t count = 0;
  RELUFLOW_RETURN_IF_BAD(take_status(api_, abi::get(api_, abi::kInfoInputCount)(info_, &count)));
  if (index >= count) return {};
  int is_constant = 0;
  const OrtValue* value = nullptr;
  RELUFLOW_RETURN_IF_BAD(
      take_status(api_, abi::get(api_, abi::kConstantInput)(info_, index, &is_constant, &value)));
  if (is_constant) *out = value;
  return {};
}

Status open_tensor(const OrtApi* api, const OrtValue* value, Tensor* out) {
  abi::Info* info = nullptr;
  RELUFLOW_RETURN_IF_BAD(
      take_status(api, abi::get(api, abi::kGetTensorTypeAndShape)(value, &info)));
  size_t rank = 0;
  OrtStatus* status = abi::get(api, abi::kGetTensorElementType)(info, &out->type);
  if (!status) status = abi::get(api, abi::kGetDimensionsCount)(info, &rank);
  if (!status) {
    out->dims.resize(rank);
    status = abi::get(api, abi::kGetDimensions)(info, out->dims.data(), rank);
  }
  abi::get(api, abi::kReleaseTensorTypeAndShapeInfo)(info);
  RELUFLOW_RETURN_IF_BAD(take_status(api, status));
  return data_of(api, const_cast<OrtValue*>(value), &out->data);
}

Call::~Call() {
  if (allocator_) abi::get(api_, abi::kReleaseAllocator)(allocator_);
}

Status Call::input(size_t index, std::optional<Tensor>* out) {
  out->reset();
  size_t count = 0;
  RELUFLOW_RETURN_IF_BAD(
      take_status(api_, abi::get(api_, abi::kContextInputCount)(context_, &count)));
  if (index >= count) return {};
  const OrtValue* value = nullptr;
  RELUFLOW_RETURN_IF_BAD(
      take_status(api_, abi::get(api_, abi::kContextInput)(context_, index, &value)));
  if (value == nullptr) return {};
  Tensor tensor;
  RELUFLOW_RETURN_IF_BAD(open_tensor(api_, value, &tensor));
  *out = std::move(tensor);
  return {};
}

Status Call::output(size_t index, const std::vector<int64_t>& dims, void** data) {
  OrtValue* value = nullptr;
  RELUFLOW_RETURN_IF_BAD(take_status(api_, abi::get(api_, abi::kContextOutput)(
                                               context_, index, dims.data(), dims.size(), &value)));
  return data_of(api_, value, data);
}

void Call::run(size_t items, void (*work)(void*, size_t), void* data) {
  OrtStatus* status = abi::get(api_, abi::kParallelFor)(context_, work, items, 0, data);
  if (status == nullptr) return;
  abi::get(api_, abi::kReleaseStatus)(status);
  // The host refuses before it starts any work, so doing all of it here is safe.
  for (size_t i = 0; i < items; ++i) work(data, i);
}

void* Call::allocate(size_t bytes) {
  if (allocator_ == nullptr) {
    OrtStatus* status = abi::get(api_, abi::kContextAllocator)(context_, memory_, &allocator_);
    if (status) {
      abi::get(api_, abi::kReleaseStatus)(status);
      allocator_ = nullptr;
      return nullptr;
    }
  }
  void* memory = nullptr;
  OrtStatus* status = abi::get(api_, abi::kAllocatorAlloc)(allocator_, bytes, &memory);
  if (status == nullptr) return memory;
  abi::get(api_, abi::kReleaseStatus)(status);
  return nullptr;
}

void Call::release(void* memory) {
  OrtStatus* status = abi::get(api_, abi::kAllocatorFree)(allocator_, memory);
  if (status) abi::get(api_, abi::kReleaseStatus)(status);
}

}  // namespace reluflow
