#include "arithmetic.h"
#include "reluflow_edge.h"

#define FINE_BITS 12
#define MOST_FINE UINT32_C(65535)
#define LOG2_E UINT32_C(47274) /* in units of 2^-15 */
#define DROPPED 19U            /* 12 + 15 bits behind the point become 8 */

/* 2^-(i / 256) in units of 2^-16, at most 65535. */
static const uint16_t powers[256] = {
#include "powers.inc"
};

void reluflow_arg_max_bytes(const reluflow_classes* classes, const uint8_t* x, int32_t* y) {
  uint32_t outer, inner, k;
  for (outer = 0; outer < classes->outer; ++outer) {
    for (inner = 0; inner < classes->inner; ++inner) {
      const uint8_t* at = x + inner;
      uint32_t best = 0;
      uint8_t most = *at;
      for (k = 1; k < classes->size; ++k) {
        at += classes->inner;
        if (*at > most || (classes->last != 0 && *at == most)) {
          most = *at;
          best = k;
        }
      }
      *y++ = (int32_t)best;
    }
    x += classes->whole;
  }
}

void reluflow_arg_max_words(const reluflow_classes* classes, const int32_t* x, int32_t* y) {
  uint32_t outer, inner, k;
  for (outer = 0; outer < classes->outer; ++outer) {
    for (inner = 0; inner < classes->inner; ++inner) {
      const int32_t* at = x + inner;
      uint32_t best = 0;
      int32_t most = *at;
      for (k = 1; k < classes->size; ++k) {
        at += classes->inner;
        if (*at > most || (classes->last != 0 && *at == most)) {
          most = *at;
          best = k;
        }
      }
      *y++ = (int32_t)best;
    }
    x += classes->whole;
  }
}

/* A difference of logits in units of 2^-12, at most 65535. */
static uint32_t fine_of(uint32_t away, int exponent) {
  int shift = exponent - FINE_BITS;
  if (shift >= 0) {
    away >>= shift > 31 ? 31 : shift;
    return away > MOST_FINE ? MOST_FINE : away;
  }
  while (shift < 0 && away != 0 && away <= MOST_FINE) {
    away <<= 1;
    ++shift;
  }
  return away > MOST_FINE ? MOST_FINE : away;
}

/* exp(logit - the largest) in units of 2^-16. */
static uint32_t weight_of(int32_t most, int32_t logit, int exponent) {
  const uint32_t fine = fine_of((uint32_t)most - (uint32_t)logit, exponent);
  const uint32_t power =
      (reluflow_times(fine, LOG2_E) + (UINT32_C(1) << (DROPPED - 1U))) >> DROPPED;
  return (uint32_t)powers[power & 255U] >> (power >> 8);
}

/* weight / total in units of 2^-15, rounded half up; weight is at most total. */
static int32_t share_of(uint32_t weight, uint32_t total) {
  uint32_t found = 0;
  unsigned bit;
  for (bit = 0; bit < 16U; ++bit) {
    weight <<= 1;
    found <<= 1;
    if (weight >= total) {
      weight -= total;
      found |= 1U;
    }
  }
  return (int32_t)((found + 1U) >> 1);
}

static void softmax_line(const reluflow_classes* classes, const int32_t* x, int32_t* y) {
  const int32_t* at = x;
  int32_t most = *x;
  uint32_t total = 0;
  uint32_t k;
  for (k = 0; k < classes->size; ++k) {
    most = *at > most ? *at : most;
    at += classes->inner;
  }
  at = x;
  for (k = 0; k < classes->size; ++k) {
    total += weight_of(most, *at, classes->exponent);
    at += classes->inner;
  }
  at = x;
  for (k = 0; k < classes->size; ++k) {
    *y = share_of(weight_of(most, *at, classes->exponent), total);
    at += classes->inner;
    y += classes->inner;
  }
}

void reluflow_softmax_words(const reluflow_classes* classes, const int32_t* x, int32_t* y) {
  uint32_t outer, inner;
  for (outer = 0; outer < classes->outer; ++outer) {
    for (inner = 0; inner < classes->inner; ++inner) {
      softmax_line(classes, x + inner, y + inner);
    }
    x += classes->whole;
    y += classes->whole;
  }
}

/* The probability of x among 0 and x. */
void reluflow_sigmoid_words(uint32_t count, int exponent, const int32_t* x, int32_t* y) {
  uint32_t k;
  for (k = 0; k < count; ++k) {
    const int32_t most = x[k] > 0 ? x[k] : 0;
    const uint32_t yes = weight_of(most, x[k], exponent);
    y[k] = share_of(yes, yes + weight_of(most, 0, exponent));
  }
}

uint32_t reluflow_margin(const int32_t* x, uint32_t count) {
  int32_t first = x[0] > x[1] ? x[0] : x[1];
  int32_t second = x[0] > x[1] ? x[1] : x[0];
  uint32_t k;
  for (k = 2; k < count; ++k) {
    if (x[k] > first) {
      second = first;
      first = x[k];
    } else if (x[k] > second) {
      second = x[k];
    }
  }
  return (uint32_t)first - (uint32_t)second;
}
