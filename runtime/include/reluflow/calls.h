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

/* A table of counts and keys to be counted in it. The index has `slots` entries, a power of two:
 * the upper half of a key's hash << 32 | number of its record + 1, or 0; records are (key 0, key 1,
 * count, first sample). */
typedef struct ReluflowCount {
  uint64_t* index;
  int64_t slots;
  uint64_t* records; /* [most][4] */
  int64_t used;      /* number of records, changed */
  int64_t most;      /* counting stops at so many */
  const uint64_t* keys;
  int64_t n;
  int64_t first; /* sample number of key 0 */
  int64_t next;  /* key to go on with, changed: n when all are counted */
} ReluflowCount;

/* Counts the keys of several tables, one after the other. */
RELUFLOW_CALL const char* reluflow_count_v1(ReluflowCount* tables, int64_t n);

/* What one of several threads counts at the same time in one table: the keys whose place lies in
 * index[low .. high). The table needs room for all keys, at most 2^31. */
typedef struct ReluflowCountShare {
  uint64_t* index;
  int64_t slots;
  uint64_t* records;
  int64_t used; /* before all threads */
  const uint64_t* keys;
  int64_t n;
  int64_t first;
  int64_t low;
  int64_t high;
  uint32_t* positions; /* [n + 1]; result: the keys whose search left the stretch */
  int64_t left;        /* result: how many these are */
  int64_t base;        /* result: number of the first new record */
  int64_t fresh;       /* result: how many are new */
} ReluflowCountShare;

RELUFLOW_CALL const char* reluflow_count_share_v1(ReluflowCountShare* share);

/* Copies n records [n][4] to `sorted`, in the order of their keys. */
RELUFLOW_CALL const char* reluflow_sort_counts_v1(const uint64_t* records, int64_t n,
                                                  uint64_t* sorted);

/* Writes the name of the kernels that this process uses, such as "avx2", to `name`, which has room
 * for `size` bytes, 16 at least. */
RELUFLOW_CALL const char* reluflow_kernel_v1(char* name, int64_t size);

#ifdef __cplusplus
}
#endif

#endif
