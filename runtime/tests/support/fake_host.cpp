#include "support/fake_host.h"

#include <atomic>
#include <cstring>
#include <new>
#include <thread>

using namespace reluflow;

struct OrtStatus {
  int code;
  std::string message;
};
struct OrtTensorTypeAndShapeInfo {
  int type;
  std::vector<int64_t> dims;
};
struct OrtMemoryInfo {
  int unused;
};
struct OrtAllocator {
  int unused;
};

namespace fake {

namespace {

constexpr int64_t kMostElements = 1 << 24;

std::atomic<int> g_alive{0};
Host* g_host = nullptr;

struct Context {
  const Node* node;
  std::vector<Value>* outputs;
};

const Node* node_of(const OrtKernelInfo* info) { return reinterpret_cast<const Node*>(info); }
Value* value_of(const OrtValue* v) { return reinterpret_cast<Value*>(const_cast<OrtValue*>(v)); }
const OrtValue* ort_value(const Value* v) { return reinterpret_cast<const OrtValue*>(v); }

OrtStatus* create_status(int code, const char* message) {
  ++g_alive;
  return new OrtStatus{code, message};
}
const char* get_message(const OrtStatus* status) { return status->message.c_str(); }
void release_status(OrtStatus* status) {
  --g_alive;
  delete status;
}

OrtStatus* create_domain(const char*, OrtCustomOpDomain** out) {
  *out = reinterpret_cast<OrtCustomOpDomain*>(&g_host);
  return nullptr;
}
OrtStatus* domain_add(OrtCustomOpDomain*, const OrtCustomOp* op) {
  g_host->ops.push_back(op);
  return nullptr;
}
OrtStatus* add_domain(OrtSessionOptions*, OrtCustomOpDomain*) { return nullptr; }

OrtStatus* tensor_data(OrtValue* v, void** out) {
  *out = value_of(v)->bytes.data();
  return nullptr;
}
OrtStatus* tensor_info(const OrtValue* v, abi::Info** out) {
  ++g_alive;
  *out = new OrtTensorTypeAndShapeInfo{value_of(v)->type, value_of(v)->dims};
  return nullptr;
}
OrtStatus* element_type(const abi::Info* info, int* out) {
  *out = info->type;
  return nullptr;
}
OrtStatus* dims_count(const abi::Info* info, size_t* out) {
  *out = info->dims.size();
  return nullptr;
}
OrtStatus* dims(const abi::Info* info, int64_t* out, size_t n) {
  for (size_t i = 0; i < n; ++i) out[i] = info->dims[i];
  return nullptr;
}
void release_info(abi::Info* info) {
  --g_alive;
  delete info;
}

OrtStatus* create_memory(int, int, OrtMemoryInfo** out) {
  ++g_alive;
  *out = new OrtMemoryInfo{0};
  return nullptr;
}
void release_memory(OrtMemoryInfo* info) {
  --g_alive;
  delete info;
}
OrtStatus* context_allocator(const OrtKernelContext*, const OrtMemoryInfo*, OrtAllocator** out) {
  ++g_alive;
  *out = new OrtAllocator{0};
  return nullptr;
}
void release_allocator(OrtAllocator* allocator) {
  --g_alive;
  delete allocator;
}
OrtStatus* allocator_alloc(OrtAllocator*, size_t bytes, void** out) {
  ++g_alive;
  *out = ::operator new(bytes, std::align_val_t{64});
  return nullptr;
}
OrtStatus* allocator_free(OrtAllocator*, void* memory) {
  --g_alive;
  ::operator delete(memory, std::align_val_t{64});
  return nullptr;
}

OrtStatus* absent(const char* name) {
  return create_status(1,
                       (std::string("No attribute with name:'") + name + "' is defined.").c_str());
}
template <class Map, class T>
OrtStatus* attribute(const Map& map, const Node& node, const char* name, T* out) {
  if (map.count(name)) {
    *out = map.at(name);
    return nullptr;
  }
  const bool other = node.ints.count(name) + node.floats.count(name) + node.strings.count(name) +
                     node.lists.count(name);
  return other ? create_status(1, "Attribute is of another type.") : absent(name);
}
OrtStatus* attribute_int(const OrtKernelInfo* info, const char* name, int64_t* out) {
  return attribute(node_of(info)->ints, *node_of(info), name, out);
}
OrtStatus* attribute_float(const OrtKernelInfo* info, const char* name, float* out) {
  return attribute(node_of(info)->floats, *node_of(info), name, out);
}
OrtStatus* attribute_string(const OrtKernelInfo* info, const char* name, char* out, size_t* size) {
  std::string text;
  OrtStatus* status = attribute(node_of(info)->strings, *node_of(info), name, &text);
  if (status) return status;
  if (out) std::memcpy(out, text.c_str(), text.size() + 1);
  *size = text.size() + 1;
  return nullptr;
}
OrtStatus* attribute_ints(const OrtKernelInfo* info, const char* name, int64_t* out, size_t* size) {
  std::vector<int64_t> list;
  OrtStatus* status = attribute(node_of(info)->lists, *node_of(info), name, &list);
  if (status) return status;
  if (out) std::memcpy(out, list.data(), list.size() * sizeof(int64_t));
  *size = list.size();
  return nullptr;
}
OrtStatus* info_inputs(const OrtKernelInfo* info, size_t* out) {
  *out = node_of(info)->inputs.size();
  return nullptr;
}
OrtStatus* constant_input(const OrtKernelInfo* info, size_t i, int* is, const OrtValue** out) {
  *is = node_of(info)->constant[i];
  *out = *is ? ort_value(node_of(info)->inputs[i]) : nullptr;
  return nullptr;
}

const Context* context_of(const OrtKernelContext* c) { return reinterpret_cast<const Context*>(c); }
OrtStatus* context_inputs(const OrtKernelContext* c, size_t* out) {
  *out = context_of(c)->node->inputs.size();
  return nullptr;
}
OrtStatus* context_input(const OrtKernelContext* c, size_t i, const OrtValue** out) {
  *out = ort_value(context_of(c)->node->inputs[i]);
  return nullptr;
}
OrtStatus* context_output(OrtKernelContext* c, size_t i, const int64_t* shape, size_t rank,
                          OrtValue** out) {
  std::vector<Value>& outputs = *context_of(c)->outputs;
  if (outputs.size() <= i) outputs.resize(i + 1);
  int64_t count = 1;
  for (size_t d = 0; d < rank; ++d) {
    if (shape[d] != 0 && count > kMostElements / shape[d])
      return create_status(1, "Memory is missing for an output.");
    count *= shape[d];
  }
  outputs[i].dims.assign(shape, shape + rank);
  outputs[i].bytes.assign(static_cast<size_t>(count) * 8, 0);
  *out = reinterpret_cast<OrtValue*>(&outputs[i]);
  return nullptr;
}
OrtStatus* parallel(const OrtKernelContext*, abi::Work* work, size_t total, size_t, void* data) {
  if (!g_host->is_threaded) {
    for (size_t i = 0; i < total; ++i) work(data, i);
    return nullptr;
  }
  std::thread other([=] {
    for (size_t i = 1; i < total; i += 2) work(data, i);
  });
  for (size_t i = 0; i < total; i += 2) work(data, i);
  other.join();
  return nullptr;
}

void* g_table[276];

template <class F>
void put(abi::Slot<F> slot, F* function) {
  g_table[slot.index] = reinterpret_cast<void*>(function);
}

void fill_table() {
  put(abi::kCreateStatus, create_status);
  put(abi::kGetErrorMessage, get_message);
  put(abi::kReleaseStatus, release_status);
  put(abi::kCreateCustomOpDomain, create_domain);
  put(abi::kCustomOpDomainAdd, domain_add);
  put(abi::kAddCustomOpDomain, add_domain);
  put(abi::kGetTensorMutableData, tensor_data);
  put(abi::kGetTensorTypeAndShape, tensor_info);
  put(abi::kGetTensorElementType, element_type);
  put(abi::kGetDimensionsCount, dims_count);
  put(abi::kGetDimensions, dims);
  put(abi::kReleaseTensorTypeAndShapeInfo, release_info);
  put(abi::kCreateCpuMemoryInfo, create_memory);
  put(abi::kReleaseMemoryInfo, release_memory);
  put(abi::kContextAllocator, context_allocator);
  put(abi::kReleaseAllocator, release_allocator);
  put(abi::kAllocatorAlloc, allocator_alloc);
  put(abi::kAllocatorFree, allocator_free);
  put(abi::kAttributeInt, attribute_int);
  put(abi::kAttributeFloat, attribute_float);
  put(abi::kAttributeString, attribute_string);
  put(abi::kAttributeInts, attribute_ints);
  put(abi::kInfoInputCount, info_inputs);
  put(abi::kConstantInput, constant_input);
  put(abi::kContextInputCount, context_inputs);
  put(abi::kContextInput, context_input);
  put(abi::kContextOutput, context_output);
  put(abi::kParallelFor, parallel);
}

const OrtApi* get_api(uint32_t version) {
  fill_table();
  return version <= g_host->newest_api ? reinterpret_cast<const OrtApi*>(g_table) : nullptr;
}
const char* get_version() { return "1.0.fake"; }
const OrtApiBase g_base = {get_api, get_version};

std::string message_of(OrtStatus* status) {
  if (!status) return "";
  const std::string message = status->message;
  release_status(status);
  return message;
}

}  // namespace

int alive() { return g_alive; }

std::string Host::load() {
  g_host = this;
  return message_of(RegisterCustomOps(nullptr, &g_base));
}

std::string Host::run(const std::string& name, const Node& node, std::vector<Value>* outputs) {
  g_host = this;
  for (const OrtCustomOp* op : ops) {
    if (op->GetName(op) != name) continue;
    void* kernel = nullptr;
    std::string refusal = message_of(
        op->CreateKernelV2(op, get_api(1), reinterpret_cast<const OrtKernelInfo*>(&node), &kernel));
    if (!refusal.empty()) return refusal;
    Context context{&node, outputs};
    const std::string failure =
        message_of(op->KernelComputeV2(kernel, reinterpret_cast<OrtKernelContext*>(&context)));
    op->KernelDestroy(kernel);
    return failure;
  }
  return "no such operator";
}

}  // namespace fake
