/* Kernels for microcontrollers: bytes times weights that are drawn for each run.
 *
 * C99 without malloc, floating point, libm or division. With RELUFLOW_STRICT no kernel multiplies:
 * products are shifts and additions. What each computes is defined in docs/psb-ops.md, "Chains",
 * and docs/edge.md. Descriptors are constants that `reluflow edge` writes; they lie in flash.
 */
#ifndef RELUFLOW_EDGE_H
#define RELUFLOW_EDGE_H

#include <stdint.h>

/* How a run draws: 1 << log2_samples samples, or the nearest weight. */
typedef struct {
  uint32_t seed_low, seed_high;
  uint8_t log2_samples;
  uint8_t nearest;
} reluflow_draws;

/* Weights as bit planes: bit i % 8 of byte i / 8 of plane b is bit b of the word of weight i. */
typedef struct {
  const uint8_t* planes;
  uint32_t plane_bytes;
  uint32_t stream;
  uint16_t inputs; /* channels that one output sees */
  uint16_t taps;
  uint32_t count; /* inputs times taps */
  uint8_t p_bits;
  uint8_t nearest;    /* whatever the run says */
  int8_t log2_factor; /* of its number of samples over that of the run */
} reluflow_weights;

/* What turns the sum of one output channel into the output. */
typedef struct {
  int32_t bias;
  int8_t up;    /* bits to the left, negative: to the right */
  uint8_t z_up; /* bits of the added byte */
  uint8_t down; /* bits from the sum to its byte */
} reluflow_channel;

/* Windows over rows and columns of pixels. Steps are in bytes. */
typedef struct {
  uint16_t rows, columns;          /* of the input */
  uint16_t out_rows, out_columns;  /* of the output */
  int16_t first_row, first_column; /* where the first window begins */
  uint16_t row_stride, column_stride;
  uint16_t kernel_rows, kernel_columns;
  uint16_t row_gap, column_gap;          /* dilations */
  int32_t first;                         /* offset of the first tap of the first window */
  int32_t row_step, column_step;         /* from window to window */
  int32_t tap_row_step, tap_column_step; /* from tap to tap */
} reluflow_window;

/* The rows of a step that one call makes. Offsets are in bytes. */
typedef struct {
  int32_t at;     /* of the first tap of the first window; may lie outside */
  int32_t z_at;   /* of what is added */
  int32_t y_at;   /* of what is made */
  uint32_t count; /* bytes that are made */
  int16_t row;    /* of the input, where the first window begins */
  uint16_t rows;  /* that are made */
} reluflow_band;

typedef struct {
  reluflow_weights weights;
  reluflow_window window;
  const reluflow_channel* channels;
  const uint8_t* table; /* 256 bytes, or none */
  uint16_t outputs;
  uint16_t group_outputs;
  uint32_t row_weights; /* kernel_columns times inputs */
  uint32_t plane;       /* pixels of the input, where a channel is copied; else 0 */
  uint16_t stored;      /* channels of the input as it is stored */
  uint8_t x_zero, y_zero, z_zero;
  uint8_t low, high;
  int32_t least, largest;      /* of sums */
  uint32_t y_pixel, y_channel; /* steps of sums, in elements */
  uint8_t kept;                /* `drawn` holds the weights of all channels already */
} reluflow_conv;

/* y = x_w * w of the output; `drawn` holds weights.count numbers, `copy` window pixels or nothing.
 * z, of y's shape, may be y itself, and x may be y where `plane` is not 0. Without a band all rows
 * are made. */
void reluflow_conv_bytes(const reluflow_conv* conv, const reluflow_draws* draws,
                         const reluflow_band* band, const uint8_t* x, const uint8_t* z, uint8_t* y,
                         int8_t* drawn, uint8_t* copy);
/* Draw the weights of all channels, for a step that keeps them. */
void reluflow_draw_weights(const reluflow_conv* conv, const reluflow_draws* draws, int8_t* drawn);
void reluflow_conv_sums(const reluflow_conv* conv, const reluflow_draws* draws, const uint8_t* x,
                        int32_t* y, int8_t* drawn);

typedef struct {
  int8_t a_up, b_up; /* negative: to the right */
  uint8_t down;
  uint8_t a_zero, b_zero, y_zero;
  uint8_t low, high;
  const uint8_t* table;
} reluflow_add;

/* y may be a or b. */
void reluflow_add_bytes(const reluflow_add* add, uint32_t count, const uint8_t* a, const uint8_t* b,
                        uint8_t* y);

typedef struct {
  uint32_t pixels;
  uint16_t channels;
  uint8_t per_channel; /* s has one factor for each channel */
  int8_t up;           /* negative: to the right */
  uint8_t x_zero, s_zero, y_zero;
  uint8_t low, high;
} reluflow_mul;

/* y may be x. */
void reluflow_mul_bytes(const reluflow_mul* mul, const uint8_t* x, const uint8_t* s, uint8_t* y);

/* y may be x. */
void reluflow_table_bytes(uint32_t count, const uint8_t* table, const uint8_t* x, uint8_t* y);
/* The same with 256 bytes for each channel, one after the other. */
void reluflow_pixel_bytes(uint32_t count, unsigned channels, const uint8_t* tables,
                          const uint8_t* x, uint8_t* y);

typedef struct {
  reluflow_window window;
  uint16_t channels;
  uint16_t all_taps; /* what a mean divides by with pads; 0: by the pixels inside */
  int8_t octaves;    /* from the format of x to that of y, -9 to 20 */
  uint8_t x_zero, y_zero;
  uint8_t low, high;
} reluflow_pool;

/* Without a band all rows are made. */
void reluflow_max_pool(const reluflow_pool* pool, const reluflow_band* band, const uint8_t* x,
                       uint8_t* y);
void reluflow_mean_pool(const reluflow_pool* pool, const reluflow_band* band, const uint8_t* x,
                        uint8_t* y);
void reluflow_sum_pool(const reluflow_pool* pool, const uint8_t* x, int32_t* y);

/* One output row or column between two of the input. */
typedef struct {
  uint32_t near_offset, far_offset; /* in bytes */
  uint8_t near_weight, far_weight;  /* sum 128 */
} reluflow_between;

typedef struct {
  uint16_t out_rows, out_columns, channels;
  const reluflow_between *rows, *columns;
} reluflow_resize;

void reluflow_resize_bytes(const reluflow_resize* resize, const uint8_t* x, uint8_t* y);

#define RELUFLOW_AXES 6

/* Each output element lies at the sum of one offset per axis; -1: outside, filled. */
typedef struct {
  const int32_t* offsets[RELUFLOW_AXES];
  uint16_t sizes[RELUFLOW_AXES];
  uint8_t fill;
} reluflow_move;

void reluflow_move_bytes(const reluflow_move* move, const uint8_t* x, uint8_t* y);
void reluflow_move_words(const reluflow_move* move, const int32_t* x, int32_t* y);

/* `blocks` runs of `length` bytes, `step` bytes apart in y. */
void reluflow_copy_blocks(uint32_t blocks, uint32_t length, uint32_t step, const uint8_t* x,
                          uint8_t* y);

/* Along an axis of `size` elements that lie `inner` apart. */
typedef struct {
  uint32_t outer, inner, size;
  uint32_t whole;   /* size times inner */
  uint8_t last;     /* the last of equals counts */
  int16_t exponent; /* of logits */
} reluflow_classes;

void reluflow_arg_max_bytes(const reluflow_classes* classes, const uint8_t* x, int32_t* y);
void reluflow_arg_max_words(const reluflow_classes* classes, const int32_t* x, int32_t* y);
/* y may be x. */
void reluflow_softmax_words(const reluflow_classes* classes, const int32_t* x, int32_t* y);

/* How a step of a group makes rows. `held` tells of each tensor that the group makes which row lies
 * first in its buffer and, behind that, how many lie there; x, z and y are places in it. */
typedef struct {
  uint32_t x_row, z_row, y_row; /* bytes of a row */
  int32_t first;                /* from a row to the first tap in it */
  int16_t first_row;            /* where the first window begins */
  uint16_t row_stride;
  uint8_t x, z, y; /* RELUFLOW_WHOLE: all rows lie there */
} reluflow_stage;

#define RELUFLOW_WHOLE 255

/* What a step does in one round of its group. */
typedef struct {
  uint8_t dropped; /* rows of the output that nobody needs again */
  uint8_t made;    /* rows that are new */
} reluflow_part;

void reluflow_begin_rows(uint16_t* held, unsigned tensors);
/* Move the rows that y keeps to its beginning; tell where the new ones lie. 0: there are none. */
int reluflow_next_rows(const reluflow_stage* stage, const reluflow_part* part, uint16_t* held,
                       uint8_t* y, reluflow_band* band);

/* Of numbers v that stand for v 2^-exponent; y may be x. */
void reluflow_sigmoid_words(uint32_t count, int exponent, const int32_t* x, int32_t* y);
/* The distance of the largest number to the second largest; there are at least two. */
uint32_t reluflow_margin(const int32_t* x, uint32_t count);

/* Return 0 where a number of samples is accepted: 0 (nearest), 1, 2, 4, ..., 64. */
int reluflow_draws_of(reluflow_draws* draws, unsigned samples, int64_t seed);

#endif
