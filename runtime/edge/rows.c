#include "rows.h"

#include "arithmetic.h"

#define FIRST 0 /* in `held`, from the place of a tensor on */
#define COUNT 1

void reluflow_begin_rows(uint16_t* held, unsigned tensors) {
  volatile uint16_t* each = held; /* or else a compiler may call memset */
  while (tensors != 0) {
    each[FIRST] = 0;
    each[COUNT] = 0;
    each += 2;
    --tensors;
  }
}

/* Move bytes to a lower address. */
static void move_down(uint8_t* to, const volatile uint8_t* from, uint32_t count) {
  while (count != 0) {
    *to++ = *from++;
    --count;
  }
}

static void drop(uint16_t* rows, unsigned dropped, uint32_t row_bytes, uint8_t* y) {
  if (dropped == 0) {
    return;
  }
  rows[FIRST] = (uint16_t)(rows[FIRST] + dropped);
  rows[COUNT] = (uint16_t)(rows[COUNT] - dropped);
  move_down(y, y + reluflow_times(row_bytes, dropped), reluflow_times(row_bytes, rows[COUNT]));
}

/* Bytes from the beginning of a buffer to a row, which may lie before it. */
static int32_t offset_of(const uint16_t* held, unsigned place, int row, uint32_t row_bytes) {
  const int away = place == RELUFLOW_WHOLE ? row : row - (int)held[place + FIRST];
  const int32_t size = (int32_t)reluflow_times(row_bytes, (uint32_t)(away < 0 ? -away : away));
  return away < 0 ? -size : size;
}

int reluflow_next_rows(const reluflow_stage* stage, const reluflow_part* part, uint16_t* held,
                       uint8_t* y, reluflow_band* band) {
  uint16_t* rows = held + stage->y;
  unsigned next;
  drop(rows, part->dropped, stage->y_row, y);
  next = (unsigned)rows[FIRST] + rows[COUNT];
  band->rows = part->made;
  band->row = (int16_t)((int)reluflow_times(next, stage->row_stride) + stage->first_row);
  band->at = stage->first + offset_of(held, stage->x, band->row, stage->x_row);
  band->z_at = offset_of(held, stage->z, (int)next, stage->z_row);
  band->y_at = (int32_t)reluflow_times(stage->y_row, rows[COUNT]);
  band->count = reluflow_times(stage->y_row, part->made);
  rows[COUNT] = (uint16_t)(rows[COUNT] + part->made);
  return part->made != 0;
}
