/* Runs a network on inputs of a file, on a Cortex-M that QEMU emulates; nothing of the C library.
 *
 * input.bin: for each run a word with the number of samples, a word with the seed, then the input.
 * output.bin: for each run the deepest stack of it in bytes, then its output. The plugin of
 * benchmarks/arm/count.c counts the instructions between `before_run` and `after_run`. */
#include <stddef.h>
#include <stdint.h>

#include "network.h"

enum { OPEN = 1, CLOSE = 2, WRITE = 5, READ = 6, EXIT = 0x18 };
enum { READ_BINARY = 1, WRITE_BINARY = 5, NORMAL_END = 0x20026, FAULT = 0x20023 };
#define PAINT UINT32_C(0xA5C3961E)

extern uint32_t data_at, data_from, data_to, bss_from, bss_to, stack_low, stack_top;

static uint32_t host(uint32_t operation, const void *block) {
  register uint32_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = block;
  __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

static uint32_t open_file(const char *name, uint32_t length, uint32_t mode) {
  const uint32_t block[3] = {(uint32_t)name, mode, length};
  return host(OPEN, block);
}

/* Returns how many bytes are missing. */
static uint32_t read_file(uint32_t file, void *to, uint32_t bytes) {
  const uint32_t block[3] = {file, (uint32_t)to, bytes};
  return host(READ, block);
}

static void write_file(uint32_t file, const void *from, uint32_t bytes) {
  const uint32_t block[3] = {file, (uint32_t)from, bytes};
  host(WRITE, block);
}

__attribute__((noinline)) void before_run(void) { __asm__ volatile(""); }
__attribute__((noinline)) void after_run(void) { __asm__ volatile(""); }

__attribute__((noinline)) static void run_once(uint32_t samples, uint32_t seed) {
  network_run(samples, seed);
}

/* Bytes below its own frame that a run has written to, at least 64. */
__attribute__((noinline)) static uint32_t stack_of_run(uint32_t samples, uint32_t seed) {
  volatile uint32_t *const here = (volatile uint32_t *)__builtin_frame_address(0) - 16;
  volatile uint32_t *at;
  for (at = &stack_low; at < here; ++at) {
    *at = PAINT;
  }
  before_run();
  run_once(samples, seed);
  after_run();
  for (at = &stack_low; at < here && *at == PAINT; ++at) {
  }
  return (uint32_t)((volatile uint32_t *)__builtin_frame_address(0) - at) * 4U;
}

static void leave(uint32_t how) {
  host(EXIT, (const void *)how);
  for (;;) {
  }
}

void reset(void) {
  const uint32_t *from = &data_at;
  uint32_t *to, in, out, run[2];
  for (to = &data_from; to != &data_to; ++to) {
    *to = *from++;
  }
  for (to = &bss_from; to != &bss_to; ++to) {
    *to = 0;
  }
  in = open_file("input.bin", 9, READ_BINARY);
  out = open_file("output.bin", 10, WRITE_BINARY);
  while (read_file(in, run, sizeof run) == 0 && read_file(in, NETWORK_INPUT, NETWORK_IN) == 0) {
    const uint32_t stack = stack_of_run(run[0], run[1]);
    write_file(out, &stack, sizeof stack);
    write_file(out, NETWORK_OUTPUT, NETWORK_OUT);
  }
  host(CLOSE, &out);
  leave(NORMAL_END);
}

static void stop(void) { leave(FAULT); }

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &stack_top, (const void *)reset, (const void *)stop, (const void *)stop};
