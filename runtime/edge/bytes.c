#include "arithmetic.h"
#include "reluflow_edge.h"

void reluflow_add_bytes(const reluflow_add* add, uint32_t count, const uint8_t* a, const uint8_t* b,
                        uint8_t* y) {
  uint32_t i;
  for (i = 0; i < count; ++i) {
    const int32_t left = reluflow_scale(a[i] - add->a_zero, add->a_up);
    const int32_t right = reluflow_scale(b[i] - add->b_zero, add->b_up);
    const int32_t sum = add->y_zero + reluflow_round_shift(left + right, add->down);
    const int32_t byte = reluflow_clamp(sum, add->low, add->high);
    y[i] = add->table != 0 ? add->table[byte] : (uint8_t)byte;
  }
}

void reluflow_mul_bytes(const reluflow_mul* mul, const uint8_t* x, const uint8_t* s, uint8_t* y) {
  uint32_t pixel;
  for (pixel = 0; pixel < mul->pixels; ++pixel) {
    const uint8_t* factor = s;
    unsigned c;
    for (c = 0; c < mul->channels; ++c) {
      const int value = *factor++ - mul->s_zero;
      const uint32_t size = (uint32_t)(value < 0 ? -value : value);
      const int32_t part = (int32_t)reluflow_times((uint32_t)(*x++ - mul->x_zero), size);
      const int32_t product = value < 0 ? -part : part;
      const int32_t sum = mul->y_zero + reluflow_scale(product, mul->up);
      *y++ = (uint8_t)reluflow_clamp(sum, mul->low, mul->high);
    }
    if (mul->per_channel == 0) {
      s = factor;
    }
  }
}

void reluflow_table_bytes(uint32_t count, const uint8_t* table, const uint8_t* x, uint8_t* y) {
  uint32_t i;
  for (i = 0; i < count; ++i) {
    y[i] = table[x[i]];
  }
}

void reluflow_pixel_bytes(uint32_t count, unsigned channels, const uint8_t* tables,
                          const uint8_t* x, uint8_t* y) {
  const uint8_t* table = tables;
  unsigned channel = 0;
  uint32_t i;
  for (i = 0; i < count; ++i) {
    y[i] = table[x[i]];
    table += 256;
    if (++channel == channels) {
      channel = 0;
      table = tables;
    }
  }
}

void reluflow_copy_blocks(uint32_t blocks, uint32_t length, uint32_t step, const uint8_t* x,
                          uint8_t* y) {
  uint32_t block, i;
  for (block = 0; block < blocks; ++block) {
    for (i = 0; i < length; ++i) {
      y[i] = *x++;
    }
    y += step;
  }
}

static int32_t between(const reluflow_between* where, int32_t near, int32_t far) {
  return (int32_t)(reluflow_times((uint32_t)near, where->near_weight) +
                   reluflow_times((uint32_t)far, where->far_weight));
}

void reluflow_resize_bytes(const reluflow_resize* resize, const uint8_t* x, uint8_t* y) {
  const reluflow_between* row = resize->rows;
  unsigned i, j, c;
  for (i = 0; i < resize->out_rows; ++i) {
    const reluflow_between* column = resize->columns;
    for (j = 0; j < resize->out_columns; ++j) {
      const uint8_t* corner[4];
      corner[0] = x + row->near_offset + column->near_offset;
      corner[1] = x + row->near_offset + column->far_offset;
      corner[2] = x + row->far_offset + column->near_offset;
      corner[3] = x + row->far_offset + column->far_offset;
      for (c = 0; c < resize->channels; ++c) {
        const int32_t near = between(column, corner[0][c], corner[1][c]);
        const int32_t far = between(column, corner[2][c], corner[3][c]);
        *y++ = (uint8_t)reluflow_round_shift(between(row, near, far), 14);
      }
      ++column;
    }
    ++row;
  }
}
