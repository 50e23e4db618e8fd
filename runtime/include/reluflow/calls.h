/* Functions of the library for other languages, beside the operators: plain C, all memory the
 * caller's. A function keeps its meaning for good; a change gets a new name and number. */
#ifndef RELUFLOW_CALLS_H
#define RELUFLOW_CALLS_H

#include <stdint.h>

#ifdef _WIN32
#define RELUFLOW_CALL __declspec(dllexport)
#else
#define RELUFLOW_CALL __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* A C-contiguous tensor [outer, units, inner] and what is found in its samples begin .. end - 1.
 * Sample number = outer index * inner + inner index. */
typedef struct ReluflowHash {
  const void* x; /* float32, or float64 where `doubles` is not 0 */
  int64_t doubles;
  int64_t units;
  int64_t inner;         /* at least 1 */
  double threshold;      /* rounded to the type of x already */
  const uint64_t* words; /* [units][2] */
  int64_t begin;
  int64_t end;
  uint64_t* keys;    /* [samples of the tensor][2], of which the range is written */
  int64_t* active;   /* [units], added to: in how many samples each unit is active */
  int64_t nonfinite; /* result: NaN and infinite values of the range */
} ReluflowHash;

/* Hashes the range on the calling thread. Returns a null pointer, or a sentence that says what is
 * wrong and lasts until this thread's next call. */
RELUFLOW_CALL const char* reluflow_hash_v1(ReluflowHash* hash);

#ifdef __cplusplus
}
#endif

#endif
