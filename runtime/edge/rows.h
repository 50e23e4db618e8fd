/* Where the rows of a step lie when all of them are made at once. */
#ifndef RELUFLOW_EDGE_ROWS_H
#define RELUFLOW_EDGE_ROWS_H

#include "reluflow_edge.h"

static inline void reluflow_whole(const reluflow_window* window, reluflow_band* band) {
  band->at = window->first;
  band->row = window->first_row;
  band->rows = window->out_rows;
}

#endif
