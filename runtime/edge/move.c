#include "reluflow_edge.h"

/* Begin at the first index; what a compiler makes of an initialiser may call memset. */
static void begin(volatile uint16_t* index) {
  unsigned axis;
  for (axis = 0; axis < RELUFLOW_AXES; ++axis) {
    index[axis] = 0;
  }
}

/* Where the element of each output index lies; false: outside. */
static int place_of(const reluflow_move* move, const uint16_t* index, int32_t* place) {
  unsigned axis;
  *place = 0;
  for (axis = 0; axis < RELUFLOW_AXES; ++axis) {
    const int32_t offset = move->offsets[axis][index[axis]];
    if (offset < 0) {
      return 0;
    }
    *place += offset;
  }
  return 1;
}

/* Go to the next index in C order; false: there is none. */
static int advance(const reluflow_move* move, uint16_t* index) {
  unsigned axis = RELUFLOW_AXES;
  while (axis != 0) {
    --axis;
    if (++index[axis] < move->sizes[axis]) {
      return 1;
    }
    index[axis] = 0;
  }
  return 0;
}

void reluflow_move_bytes(const reluflow_move* move, const uint8_t* x, uint8_t* y) {
  uint16_t index[RELUFLOW_AXES];
  int32_t place;
  begin(index);
  do {
    *y++ = place_of(move, index, &place) ? x[place] : move->fill;
  } while (advance(move, index));
}

void reluflow_move_words(const reluflow_move* move, const int32_t* x, int32_t* y) {
  uint16_t index[RELUFLOW_AXES];
  int32_t place;
  begin(index);
  do {
    *y++ = place_of(move, index, &place) ? x[place] : (int32_t)move->fill;
  } while (advance(move, index));
}
