#include "arithmetic.h"
#include "reluflow_edge.h"
#include "rows.h"

#define QUOTIENT_BITS 10U
#define BEYOND 512 /* what is added to a mean, so that it is positive, and more than any byte */
#define LEAST_OCTAVES (-9)

/* What one channel sees in one window. */
typedef struct {
  uint32_t sum, count;
  uint8_t largest;
} seen;

static seen look(const reluflow_window* window, const uint8_t* x, int row, int column, int32_t at) {
  seen found = {0, 0, 0};
  unsigned i, j;
  for (i = 0; i < window->kernel_rows; ++i) {
    if (row >= 0 && row < (int)window->rows) {
      int32_t offset = at;
      int here = column;
      for (j = 0; j < window->kernel_columns; ++j) {
        if (here >= 0 && here < (int)window->columns) {
          const uint8_t byte = x[offset];
          found.sum += byte;
          ++found.count;
          if (byte > found.largest) {
            found.largest = byte;
          }
        }
        offset += window->tap_column_step;
        here += window->column_gap;
      }
    }
    at += window->tap_row_step;
    row += window->row_gap;
  }
  return found;
}

/* floor(sum 2^octaves / count + 1/2), beyond any byte where it does not fit. */
static int32_t mean_of(int32_t sum, uint32_t count, int octaves) {
  const uint32_t size = (uint32_t)(sum < 0 ? -sum : sum);
  uint32_t twice, half;
  if (octaves <= LEAST_OCTAVES) {
    return 0; /* a mean of bytes is below 2^8 */
  }
  if (octaves > 0) {
    if (size > (count << 8) >> octaves) {
      return sum < 0 ? -BEYOND : BEYOND;
    }
    sum = reluflow_left_shift(sum, (unsigned)octaves);
    half = count;
  } else {
    half = count << -octaves;
  }
  twice = half << 1;
  /* 2 sum + half + 512 (2 half) is positive. */
  return (int32_t)reluflow_quotient(((uint32_t)sum << 1) + half + (twice << 9), twice,
                                    QUOTIENT_BITS) -
         BEYOND;
}

static uint8_t mean_byte(const reluflow_pool* pool, seen found) {
  const int32_t zeros = (int32_t)reluflow_times(found.count, pool->x_zero);
  const uint32_t inside = found.count == 0 ? 1U : found.count;
  const uint32_t count = pool->all_taps != 0 ? pool->all_taps : inside;
  const int32_t mean = mean_of((int32_t)found.sum - zeros, count, pool->octaves);
  return (uint8_t)reluflow_clamp(pool->y_zero + mean, pool->low, pool->high);
}

static void pool_bytes(const reluflow_pool* pool, const reluflow_band* band, const uint8_t* x,
                       uint8_t* y, int is_max) {
  const reluflow_window* window = &pool->window;
  int32_t row_at = band->at;
  int row = band->row;
  unsigned i, j, c;
  for (i = 0; i < band->rows; ++i) {
    int32_t at = row_at;
    int column = window->first_column;
    for (j = 0; j < window->out_columns; ++j) {
      for (c = 0; c < pool->channels; ++c) {
        const seen found = look(window, x + c, row, column, at);
        *y++ = is_max ? found.largest : mean_byte(pool, found);
      }
      at += window->column_step;
      column += window->column_stride;
    }
    row_at += window->row_step;
    row += window->row_stride;
  }
}

static void pool_rows(const reluflow_pool* pool, const reluflow_band* band, const uint8_t* x,
                      uint8_t* y, int is_max) {
  reluflow_band whole;
  if (band == 0) {
    reluflow_whole(&pool->window, &whole);
    band = &whole;
  }
  pool_bytes(pool, band, x, y, is_max);
}

void reluflow_max_pool(const reluflow_pool* pool, const reluflow_band* band, const uint8_t* x,
                       uint8_t* y) {
  pool_rows(pool, band, x, y, 1);
}

void reluflow_mean_pool(const reluflow_pool* pool, const reluflow_band* band, const uint8_t* x,
                        uint8_t* y) {
  pool_rows(pool, band, x, y, 0);
}

void reluflow_sum_pool(const reluflow_pool* pool, const uint8_t* x, int32_t* y) {
  unsigned c;
  for (c = 0; c < pool->channels; ++c) {
    const seen found = look(&pool->window, x + c, 0, 0, 0);
    y[c] = (int32_t)found.sum - (int32_t)reluflow_times(found.count, pool->x_zero);
  }
}
