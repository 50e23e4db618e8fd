/* Whole numbers: products, shifts that round, divisions by shifts. */
#ifndef RELUFLOW_EDGE_ARITHMETIC_H
#define RELUFLOW_EDGE_ARITHMETIC_H

#include <stdint.h>

#include "config.h"

/* v times k. In strict mode by shifts and additions, one for each bit of k. */
static inline uint32_t reluflow_times(uint32_t v, uint32_t k) {
#ifdef RELUFLOW_STRICT
  uint32_t product = 0;
  while (k != 0) {
    if ((k & 1U) != 0) {
      product += v;
    }
    v <<= 1;
    k >>= 1;
  }
  return product;
#else
  return v * k;
#endif
}

/* v 2^-bits, rounded down; C leaves shifts of negative numbers open. */
static inline int32_t reluflow_floor_shift(int32_t v, unsigned bits) {
  return v >= 0 ? (int32_t)((uint32_t)v >> bits) : (int32_t)~(~(uint32_t)v >> bits);
}

/* v 2^-bits, rounded half up; v + 2^(bits - 1) fits 32 bits. */
static inline int32_t reluflow_round_shift(int32_t v, unsigned bits) {
  return reluflow_floor_shift(v + (int32_t)((UINT32_C(1) << bits) >> 1), bits);
}

/* v 2^bits; the result fits 32 bits. */
static inline int32_t reluflow_left_shift(int32_t v, unsigned bits) {
  return (int32_t)((uint32_t)v << bits);
}

/* v 2^up, rounded half up where up is negative. */
static inline int32_t reluflow_scale(int32_t v, int up) {
  return up >= 0 ? reluflow_left_shift(v, (unsigned)up) : reluflow_round_shift(v, (unsigned)-up);
}

static inline int32_t reluflow_clamp(int32_t v, int32_t low, int32_t high) {
  if (v < low) {
    return low;
  }
  return v > high ? high : v;
}

/* floor(n / d), below 2^bits; d 2^(bits - 1) fits 32 bits. */
static inline uint32_t reluflow_quotient(uint32_t n, uint32_t d, unsigned bits) {
  uint32_t found = 0;
  uint32_t part = d << (bits - 1);
  while (bits != 0) {
    --bits;
    found <<= 1;
    if (n >= part) {
      n -= part;
      found |= 1U;
    }
    part >>= 1;
  }
  return found;
}

#endif
