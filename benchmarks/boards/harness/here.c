/* Runs a network on this machine: records from stdin as the harness takes them, outputs to stdout.
 */
#include <stdint.h>
#include <stdio.h>

#include "network.h"

int main(void) {
  uint32_t run[2];
  while (fread(run, sizeof run, 1, stdin) == 1 && fread(NETWORK_INPUT, NETWORK_IN, 1, stdin) == 1) {
    network_run(run[0], run[1]);
    if (fwrite(NETWORK_OUTPUT, NETWORK_OUT, 1, stdout) != 1) {
      return 1;
    }
  }
  return 0;
}
