/* The operators of the native library: their domain, names and versions, and the function with
 * which a host adds them to its session's options. Plain C. */
#ifndef RELUFLOW_OPERATORS_H
#define RELUFLOW_OPERATORS_H

#include "reluflow/version.h"

#define RELUFLOW_DOMAIN "ai.reluflow"

/* X(name, version since which its meaning is the present one), for every operator. */
#define RELUFLOW_OPERATORS(X)  \
  X(PsbConv, 1)                \
  X(PsbMatMul, 1)              \
  X(PatternHash, 1)            \
  X(FixedConv, 1)              \
  X(FromFixedConv, 1)          \
  X(FromFixedMatMul, 1)        \
  X(ToFixed, 1)                \
  X(FromFixed, 1)              \
  X(FixedMaxPool, 1)           \
  X(FixedGlobalPool, 1)        \
  X(FixedAveragePool, 1)       \
  X(FixedGlobalAveragePool, 1) \
  X(FixedAdd, 1)               \
  X(FixedMul, 1)               \
  X(FixedResize, 1)            \
  X(FixedTable, 1)             \
  X(FixedConv16, 1)            \
  X(ToFixed16, 1)              \
  X(FromFixed16, 1)            \
  X(FixedMaxPool16, 1)         \
  X(FixedGlobalPool16, 1)      \
  X(RegionConcat, 1)           \
  X(FixedResize16, 1)

#ifdef __cplusplus
extern "C" {
#endif

struct OrtApiBase;
struct OrtSessionOptions;
struct OrtStatus;

/* Adds the domain to the options of a session, for ONNX Runtime 1.17 and newer: what
 * OrtGetApiBase() returns is the second argument. Returns null, or a status that is the caller's to
 * release. A host that opens the library by path lets RegisterCustomOpsLibrary call it. */
#ifdef _WIN32
__declspec(dllimport)
#endif
struct OrtStatus* RegisterCustomOps(struct OrtSessionOptions* options,
                                    const struct OrtApiBase* base);

#ifdef __cplusplus
}
#endif

#endif
