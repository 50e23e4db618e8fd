// The slice of ONNX Runtime's C ABI that this library uses, declared by hand.
//
// Provenance: the ABI is stable and append-only. A function of `OrtApi` is known by its slot, the
// number of its pointer in the table. Slots and signatures follow the public header
// onnxruntime_c_api.h; the static asserts there fix the last slot of every version (version 17
// ends at slot 275). `OrtCustomOp` is the layout of version 17; later versions append to it.
// Everything here needs API version 17, that is ONNX Runtime 1.17 or newer.
#ifndef RELUFLOW_ORT_ABI_H
#define RELUFLOW_ORT_ABI_H

#include <cstddef>
#include <cstdint>

extern "C" {

struct OrtStatus;
struct OrtSessionOptions;
struct OrtCustomOpDomain;
struct OrtKernelInfo;
struct OrtKernelContext;
struct OrtShapeInferContext;
struct OrtValue;
struct OrtTensorTypeAndShapeInfo;
struct OrtMemoryInfo;
struct OrtAllocator;

/// A table of function pointers; reluflow::abi names the slots.
struct OrtApi {
  void* slot[1];
};

struct OrtApiBase {
  const OrtApi* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)();
};

/// Descriptor of one custom operator, as of API version 17. Null is accepted for the pointers that
/// are marked optional.
struct OrtCustomOp {
  uint32_t version;
  void* (*CreateKernel)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*);
  const char* (*GetName)(const OrtCustomOp*);
  const char* (*GetExecutionProviderType)(const OrtCustomOp*);
  int (*GetInputType)(const OrtCustomOp*, size_t);
  size_t (*GetInputTypeCount)(const OrtCustomOp*);
  int (*GetOutputType)(const OrtCustomOp*, size_t);
  size_t (*GetOutputTypeCount)(const OrtCustomOp*);
  void (*KernelCompute)(void*, OrtKernelContext*);
  void (*KernelDestroy)(void*);
  int (*GetInputCharacteristic)(const OrtCustomOp*, size_t);
  int (*GetOutputCharacteristic)(const OrtCustomOp*, size_t);
  int (*GetInputMemoryType)(const OrtCustomOp*, size_t);
  int (*GetVariadicInputMinArity)(const OrtCustomOp*);
  int (*GetVariadicInputHomogeneity)(const OrtCustomOp*);
  int (*GetVariadicOutputMinArity)(const OrtCustomOp*);
  int (*GetVariadicOutputHomogeneity)(const OrtCustomOp*);
  OrtStatus* (*CreateKernelV2)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*, void**);
  OrtStatus* (*KernelComputeV2)(void*, OrtKernelContext*);
  OrtStatus* (*InferOutputShapeFn)(const OrtCustomOp*, OrtShapeInferContext*);  // optional
  int (*GetStartVersion)(const OrtCustomOp*);
  int (*GetEndVersion)(const OrtCustomOp*);  // optional
  // Fields of version 18; a host reads them only when `version` says so. Optional.
  size_t (*GetMayInplace)(int**, int**);
  void (*ReleaseMayInplace)(int*, int*);
  size_t (*GetAliasMap)(int**, int**);
  void (*ReleaseAliasMap)(int*, int*);
};

}  // extern "C"

// Every field takes one pointer's place: with pointers of 64 bits the number is padded.
static_assert(sizeof(OrtApiBase) == 2 * sizeof(void*), "two pointers");
static_assert(sizeof(OrtCustomOp) == 26 * sizeof(void*), "a number and 25 pointers");
static_assert(offsetof(OrtCustomOp, KernelDestroy) == 9 * sizeof(void*), "version 1 ends here");
static_assert(offsetof(OrtCustomOp, CreateKernelV2) == 17 * sizeof(void*), "first of version 16");
static_assert(offsetof(OrtCustomOp, GetMayInplace) == 22 * sizeof(void*), "first of version 18");

namespace reluflow::abi {

constexpr uint32_t kApiVersion = 17;

enum ElementType : int {
  kUndefined = 0,
  kFloat = 1,
  kUint8 = 2,
  kInt8 = 3,
  kInt16 = 5,
  kInt64 = 7,
  kBool = 9
};
enum ErrorCode : int { kFail = 1, kInvalidArgument = 2, kNotImplemented = 9 };
enum Characteristic : int { kRequired = 0, kOptional = 1 };

/// One slot of the table: its number and its type.
template <class Function>
struct Slot {
  size_t index;
};

/// Returns the function in a slot.
template <class Function>
inline Function* get(const OrtApi* api, Slot<Function> slot) {
  return reinterpret_cast<Function*>(api->slot[slot.index]);
}

using Info = OrtTensorTypeAndShapeInfo;
using Work = void(void*, size_t);

// API version 1
constexpr Slot<OrtStatus*(int, const char*)> kCreateStatus{0};
constexpr Slot<const char*(const OrtStatus*)> kGetErrorMessage{2};
constexpr Slot<OrtStatus*(const char*, OrtCustomOpDomain**)> kCreateCustomOpDomain{26};
constexpr Slot<OrtStatus*(OrtCustomOpDomain*, const OrtCustomOp*)> kCustomOpDomainAdd{27};
constexpr Slot<OrtStatus*(OrtSessionOptions*, OrtCustomOpDomain*)> kAddCustomOpDomain{28};
constexpr Slot<OrtStatus*(OrtValue*, void**)> kGetTensorMutableData{51};
constexpr Slot<OrtStatus*(const Info*, int*)> kGetTensorElementType{60};
constexpr Slot<OrtStatus*(const Info*, size_t*)> kGetDimensionsCount{61};
constexpr Slot<OrtStatus*(const Info*, int64_t*, size_t)> kGetDimensions{62};
constexpr Slot<OrtStatus*(const OrtValue*, Info**)> kGetTensorTypeAndShape{65};
constexpr Slot<OrtStatus*(int, int, OrtMemoryInfo**)> kCreateCpuMemoryInfo{69};
constexpr Slot<OrtStatus*(OrtAllocator*, size_t, void**)> kAllocatorAlloc{75};
constexpr Slot<OrtStatus*(OrtAllocator*, void*)> kAllocatorFree{76};
constexpr Slot<OrtStatus*(const OrtKernelInfo*, const char*, float*)> kAttributeFloat{85};
constexpr Slot<OrtStatus*(const OrtKernelInfo*, const char*, int64_t*)> kAttributeInt{86};
constexpr Slot<OrtStatus*(const OrtKernelInfo*, const char*, char*, size_t*)> kAttributeString{87};
constexpr Slot<OrtStatus*(const OrtKernelContext*, size_t*)> kContextInputCount{88};
constexpr Slot<OrtStatus*(const OrtKernelContext*, size_t, const OrtValue**)> kContextInput{90};
constexpr Slot<OrtStatus*(OrtKernelContext*, size_t, const int64_t*, size_t, OrtValue**)>
    kContextOutput{91};
constexpr Slot<void(OrtStatus*)> kReleaseStatus{93};
constexpr Slot<void(OrtMemoryInfo*)> kReleaseMemoryInfo{94};
constexpr Slot<void(OrtValue*)> kReleaseValue{96};
constexpr Slot<void(Info*)> kReleaseTensorTypeAndShapeInfo{99};
// API version 5
constexpr Slot<void(OrtAllocator*)> kReleaseAllocator{132};
// API version 8
constexpr Slot<OrtStatus*(const OrtKernelInfo*, const char*, int64_t*, size_t*)> kAttributeInts{
    163};
// API version 14
constexpr Slot<OrtStatus*(const OrtKernelInfo*, size_t*)> kInfoInputCount{230};
// API version 15
constexpr Slot<OrtStatus*(const OrtKernelInfo*, size_t, int*, const OrtValue**)> kConstantInput{
    249};
constexpr Slot<OrtStatus*(const OrtKernelContext*, const OrtMemoryInfo*, OrtAllocator**)>
    kContextAllocator{253};
// API version 17
constexpr Slot<OrtStatus*(const OrtKernelContext*, Work*, size_t, size_t, void*)> kParallelFor{274};

}  // namespace reluflow::abi

#endif
