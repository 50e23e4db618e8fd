/* The slice of ONNX Runtime's C interface that the example hosts call, in C99 and C++.
 *
 * Names, order and types are those of the public header onnxruntime_c_api.h. With
 * RELUFLOW_ORT_HEADER defined that header is included instead, and the hosts are built against it.
 * The table is stable and append-only: everything here is part of its version 1. A name `skipN`
 * stands for functions that the examples do not call, from slot N on. */
#ifndef RELUFLOW_ORT_HOST_H
#define RELUFLOW_ORT_HOST_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { HOST_API_VERSION = 17 }; /* what the native library needs: ONNX Runtime 1.17 or newer */

#ifdef RELUFLOW_ORT_HEADER
#include <onnxruntime_c_api.h>
#else

#ifdef __cplusplus
extern "C" {
#endif

typedef struct OrtStatus OrtStatus;
typedef struct OrtEnv OrtEnv;
typedef struct OrtSession OrtSession;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtRunOptions OrtRunOptions;
typedef struct OrtValue OrtValue;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtAllocator OrtAllocator;
typedef struct OrtTypeInfo OrtTypeInfo;
typedef struct OrtTensorTypeAndShapeInfo OrtTensorTypeAndShapeInfo;

typedef enum OrtLoggingLevel { ORT_LOGGING_LEVEL_FATAL = 4 } OrtLoggingLevel;
typedef enum OrtAllocatorType { OrtDeviceAllocator = 0 } OrtAllocatorType;
typedef enum OrtMemType { OrtMemTypeDefault = 0 } OrtMemType;
typedef enum ONNXTensorElementDataType {
  ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT = 1,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 = 7
} ONNXTensorElementDataType;

typedef struct OrtApi {
  void* skip0[2];
  const char* (*GetErrorMessage)(const OrtStatus*);
  OrtStatus* (*CreateEnv)(OrtLoggingLevel, const char* name, OrtEnv**);
  void* skip4[3];
  OrtStatus* (*CreateSession)(const OrtEnv*, const char* path, const OrtSessionOptions*,
                              OrtSession**);
  void* skip8[1];
  OrtStatus* (*Run)(OrtSession*, const OrtRunOptions*, const char* const* input_names,
                    const OrtValue* const* inputs, size_t n_inputs, const char* const* output_names,
                    size_t n_outputs, OrtValue** outputs);
  OrtStatus* (*CreateSessionOptions)(OrtSessionOptions**);
  void* skip11[18];
  OrtStatus* (*RegisterCustomOpsLibrary)(OrtSessionOptions*, const char* path, void** handle);
  void* skip30[3];
  OrtStatus* (*SessionGetInputTypeInfo)(const OrtSession*, size_t, OrtTypeInfo**);
  void* skip34[2];
  OrtStatus* (*SessionGetInputName)(const OrtSession*, size_t, OrtAllocator*, char**);
  OrtStatus* (*SessionGetOutputName)(const OrtSession*, size_t, OrtAllocator*, char**);
  void* skip38[11];
  OrtStatus* (*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo*, void*, size_t n_bytes,
                                               const int64_t* dims, size_t rank,
                                               ONNXTensorElementDataType, OrtValue**);
  void* skip50[1];
  OrtStatus* (*GetTensorMutableData)(OrtValue*, void**);
  void* skip52[3];
  OrtStatus* (*CastTypeInfoToTensorInfo)(const OrtTypeInfo*, const OrtTensorTypeAndShapeInfo**);
  void* skip56[5];
  OrtStatus* (*GetDimensionsCount)(const OrtTensorTypeAndShapeInfo*, size_t*);
  OrtStatus* (*GetDimensions)(const OrtTensorTypeAndShapeInfo*, int64_t*, size_t);
  void* skip63[1];
  OrtStatus* (*GetTensorShapeElementCount)(const OrtTensorTypeAndShapeInfo*, size_t*);
  OrtStatus* (*GetTensorTypeAndShape)(const OrtValue*, OrtTensorTypeAndShapeInfo**);
  void* skip66[3];
  OrtStatus* (*CreateCpuMemoryInfo)(OrtAllocatorType, OrtMemType, OrtMemoryInfo**);
  void* skip70[6];
  OrtStatus* (*AllocatorFree)(OrtAllocator*, void*);
  void* skip77[1];
  OrtStatus* (*GetAllocatorWithDefaultOptions)(OrtAllocator**);
  void* skip79[13];
  void (*ReleaseEnv)(OrtEnv*);
  void (*ReleaseStatus)(OrtStatus*);
  void (*ReleaseMemoryInfo)(OrtMemoryInfo*);
  void (*ReleaseSession)(OrtSession*);
  void (*ReleaseValue)(OrtValue*);
  void* skip97[1];
  void (*ReleaseTypeInfo)(OrtTypeInfo*);
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo*);
  void (*ReleaseSessionOptions)(OrtSessionOptions*);
} OrtApi;

typedef struct OrtApiBase {
  const OrtApi* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)(void);
} OrtApiBase;

#ifdef __cplusplus
}
static_assert(offsetof(OrtApi, Run) == 9 * sizeof(void*), "slot 9");
static_assert(offsetof(OrtApi, CreateTensorWithDataAsOrtValue) == 49 * sizeof(void*), "slot 49");
static_assert(offsetof(OrtApi, CreateCpuMemoryInfo) == 69 * sizeof(void*), "slot 69");
static_assert(offsetof(OrtApi, ReleaseSessionOptions) == 100 * sizeof(void*), "slot 100");
#endif

#endif /* RELUFLOW_ORT_HEADER */

/* Loads ONNX Runtime and returns its entry, or NULL and the reason. A program that links against
 * ONNX Runtime calls OrtGetApiBase() instead. */
static inline const OrtApiBase* host_base(const char* path, const char** reason) {
  const OrtApiBase* (*get_base)(void) = NULL;
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* stays loaded as long as the process */
  void* symbol = library == NULL ? NULL : dlsym(library, "OrtGetApiBase");
  if (symbol == NULL) {
    *reason = dlerror();
    return NULL;
  }
  /* C has no cast from data to function pointers, so the bytes are copied. */
  memcpy((void*)&get_base, (const void*)&symbol, sizeof symbol);
  return get_base();
}

/* Its table of functions, or NULL and the reason. */
static inline const OrtApi* host_api(const OrtApiBase* base, const char** reason) {
  const OrtApi* api = base->GetApi(HOST_API_VERSION);
  if (api == NULL) *reason = "it is older than ONNX Runtime 1.17, give a newer one";
  return api;
}

/* Both at once. */
static inline const OrtApi* host_open(const char* path, const char** reason) {
  const OrtApiBase* base = host_base(path, reason);
  return base == NULL ? NULL : host_api(base, reason);
}

#endif
