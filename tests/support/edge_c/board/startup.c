/* Start of a program on QEMU's mps2-an385, and its calls of the host by semihosting. */
#include <stdint.h>
#include <stdlib.h>

extern uint32_t data_at, data_from, data_to, bss_from, bss_to, stack_top;
extern void initialise_monitor_handles(void);
int main(int argc, char **argv);

void reset(void) {
  const uint32_t *from = &data_at;
  uint32_t *to;
  for (to = &data_from; to != &data_to; ++to) {
    *to = *from++;
  }
  for (to = &bss_from; to != &bss_to; ++to) {
    *to = 0;
  }
  initialise_monitor_handles();
  exit(main(0, NULL));
}

static void stop(void) { abort(); }

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &stack_top,
    (const void *)reset,
    (const void *)stop,
    (const void *)stop,
};
