#include "arithmetic.h"
#include "draw.h"
#include "reluflow_edge.h"
#include "rows.h"

#define MOST_SUM (INT32_C(1) << 29)

/* The sum of (x - zero) w over consecutive channels. */
static int32_t dot(const uint8_t* x, const int8_t* w, unsigned count, int zero) {
  int32_t sum = 0;
  const int8_t* end = w + count;
  while (w != end) {
    const int weight = *w++;
    const int value = *x++ - zero;
#ifdef RELUFLOW_STRICT
    const uint32_t product =
        reluflow_times((uint32_t)value, (uint32_t)(weight < 0 ? -weight : weight));
    sum = (int32_t)(weight < 0 ? (uint32_t)sum - product : (uint32_t)sum + product);
#else
    sum += value * weight;
#endif
  }
  return sum;
}

/* The sum of one window, whose first tap is at `at` and lies in this row and column. */
static int32_t window_sum(const reluflow_conv* conv, const uint8_t* x, const int8_t* w, int row,
                          int column, int32_t at) {
  const reluflow_window* window = &conv->window;
  int32_t sum = 0;
  unsigned i, j;
  for (i = 0; i < window->kernel_rows; ++i) {
    if (row >= 0 && row < (int)window->rows) {
      const int8_t* tap = w;
      int32_t offset = at;
      int here = column;
      for (j = 0; j < window->kernel_columns; ++j) {
        if (here >= 0 && here < (int)window->columns) {
          sum += dot(x + offset, tap, conv->weights.inputs, conv->x_zero);
        }
        tap += conv->weights.inputs;
        offset += window->tap_column_step;
        here += window->column_gap;
      }
    }
    w += conv->row_weights;
    at += window->tap_row_step;
    row += window->row_gap;
  }
  return sum;
}

static int32_t clamped_left(int32_t sum, int up) {
  if (up > 0) {
    const int32_t most = MOST_SUM >> up;
    return reluflow_left_shift(reluflow_clamp(sum, -most, most), (unsigned)up);
  }
  return reluflow_scale(sum, up);
}

static uint8_t byte_of(const reluflow_conv* conv, const reluflow_channel* channel, int32_t sum,
                       const uint8_t* z) {
  int32_t y = clamped_left(sum, channel->up) + channel->bias;
  if (z != 0) {
    y += reluflow_left_shift(*z - conv->z_zero, channel->z_up);
  }
  y = conv->y_zero + reluflow_round_shift(y, channel->down);
  y = reluflow_clamp(y, conv->low, conv->high);
  return conv->table != 0 ? conv->table[y] : (uint8_t)y;
}

/* The pixels of one channel in some rows, as bytes. */
static void channel_bytes(const reluflow_conv* conv, const reluflow_channel* channel,
                          const reluflow_band* band, const uint8_t* x, const int8_t* w,
                          const uint8_t* z, uint8_t* y) {
  const reluflow_window* window = &conv->window;
  int32_t row_at = band->at;
  int row = band->row;
  unsigned i, j;
  for (i = 0; i < band->rows; ++i) {
    int32_t at = row_at;
    int column = window->first_column;
    for (j = 0; j < window->out_columns; ++j) {
      *y = byte_of(conv, channel, window_sum(conv, x, w, row, column, at), z);
      y += conv->outputs;
      if (z != 0) {
        z += conv->outputs;
      }
      at += window->column_step;
      column += window->column_stride;
    }
    row_at += window->row_step;
    row += window->row_stride;
  }
}

/* All pixels of one channel, as sums. */
static void channel_sums(const reluflow_conv* conv, const reluflow_channel* channel,
                         const uint8_t* x, const int8_t* w, int32_t* y) {
  const reluflow_window* window = &conv->window;
  int32_t row_at = window->first;
  int row = window->first_row;
  unsigned i, j;
  for (i = 0; i < window->out_rows; ++i) {
    int32_t at = row_at;
    int column = window->first_column;
    for (j = 0; j < window->out_columns; ++j) {
      const int32_t sum = window_sum(conv, x, w, row, column, at);
      *y = reluflow_clamp(reluflow_scale(sum, channel->up) + channel->bias, conv->least,
                          conv->largest);
      y += conv->y_pixel;
      at += window->column_step;
      column += window->column_stride;
    }
    row_at += window->row_step;
    row += window->row_stride;
  }
}

static void copy_channel(const reluflow_conv* conv, const uint8_t* x, uint8_t* copy) {
  uint32_t pixel;
  for (pixel = 0; pixel < conv->plane; ++pixel) {
    copy[pixel] = *x;
    x += conv->stored;
  }
}

void reluflow_conv_bytes(const reluflow_conv* conv, const reluflow_draws* draws,
                         const reluflow_band* band, const uint8_t* x, const uint8_t* z, uint8_t* y,
                         int8_t* drawn, uint8_t* copy) {
  reluflow_key key;
  reluflow_band whole;
  uint32_t channel, first = 0;
  unsigned in_group = 0;
  if (band == 0) {
    reluflow_whole(&conv->window, &whole);
    band = &whole;
  }
  reluflow_key_of(&conv->weights, draws, &key);
  for (channel = 0; channel < conv->outputs; ++channel) {
    const uint8_t* from = x;
    if (conv->kept == 0) {
      reluflow_draw_channel(&conv->weights, &key, channel, first, drawn);
    }
    if (conv->plane != 0) {
      copy_channel(conv, x, copy);
      from = copy;
    }
    channel_bytes(conv, conv->channels + channel, band, from, drawn, z, y);
    first += conv->weights.count;
    if (conv->kept != 0) {
      drawn += conv->weights.count;
    }
    ++y;
    if (z != 0) {
      ++z;
    }
    if (++in_group == conv->group_outputs) {
      in_group = 0;
      x += conv->weights.inputs;
    }
  }
}

void reluflow_draw_weights(const reluflow_conv* conv, const reluflow_draws* draws, int8_t* drawn) {
  reluflow_key key;
  uint32_t channel, first = 0;
  reluflow_key_of(&conv->weights, draws, &key);
  for (channel = 0; channel < conv->outputs; ++channel) {
    reluflow_draw_channel(&conv->weights, &key, channel, first, drawn);
    first += conv->weights.count;
    drawn += conv->weights.count;
  }
}

void reluflow_conv_sums(const reluflow_conv* conv, const reluflow_draws* draws, const uint8_t* x,
                        int32_t* y, int8_t* drawn) {
  reluflow_key key;
  uint32_t channel, first = 0;
  unsigned in_group = 0;
  reluflow_key_of(&conv->weights, draws, &key);
  for (channel = 0; channel < conv->outputs; ++channel) {
    reluflow_draw_channel(&conv->weights, &key, channel, first, drawn);
    channel_sums(conv, conv->channels + channel, x, drawn, y);
    first += conv->weights.count;
    y += conv->y_channel;
    if (++in_group == conv->group_outputs) {
      in_group = 0;
      x += conv->weights.inputs;
    }
  }
}
