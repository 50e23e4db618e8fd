/* A plugin of QEMU that prints how many instructions a program has run, at each of its calls of
 * getppid: a program calls it before and after what is to be counted. Without an operating system
 * there is no such call: `first=0x...,second=0x...` are two instructions at which it prints.
 *
 * The declarations are those of version 1 of QEMU's interface, qemu-plugin.h, which Debian's
 * packages leave out. Threads add to one number without a lock, so that programs of one thread only
 * are counted exactly. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t PluginId;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

enum { INLINE_ADD_U64 = 0, GETPPID = 173 /* on 64-bit ARM */ };

extern void qemu_plugin_register_vcpu_tb_trans_cb(PluginId,
                                                  void (*)(PluginId, struct qemu_plugin_tb*));
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb*, int, void*, uint64_t);
extern struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb*, size_t);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn*);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn*,
                                                   void (*)(unsigned, void*), int, void*);
extern void qemu_plugin_register_vcpu_syscall_cb(PluginId,
                                                 void (*)(PluginId, unsigned, int64_t, uint64_t,
                                                          uint64_t, uint64_t, uint64_t, uint64_t,
                                                          uint64_t, uint64_t, uint64_t));

int qemu_plugin_version = 1;

static uint64_t count;
static uint64_t places[2];

static void print_count(void) {
  fprintf(stderr, "instructions %llu\n", (unsigned long long)count);
}

static void reached(unsigned cpu, void* data) {
  (void)cpu, (void)data;
  print_count();
}

static void translated(PluginId id, struct qemu_plugin_tb* block) {
  const size_t instructions = qemu_plugin_tb_n_insns(block);
  size_t k;
  (void)id;
  qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD_U64, &count, instructions);
  for (k = 0; k < instructions && places[1] != 0; ++k) {
    struct qemu_plugin_insn* one = qemu_plugin_tb_get_insn(block, k);
    const uint64_t at = qemu_plugin_insn_vaddr(one);
    if (at == places[0] || at == places[1]) {
      qemu_plugin_register_vcpu_insn_exec_cb(one, reached, 0, NULL);
    }
  }
}

static void called(PluginId id, unsigned cpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                   uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
  (void)id, (void)cpu, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7,
      (void)a8;
  if (number == GETPPID) print_count();
}

int qemu_plugin_install(PluginId id, const void* info, int argc, char** argv) {
  int k;
  (void)info;
  for (k = 0; k < argc; ++k) {
    if (strncmp(argv[k], "first=", 6) == 0) places[0] = strtoull(argv[k] + 6, NULL, 0);
    if (strncmp(argv[k], "second=", 7) == 0) places[1] = strtoull(argv[k] + 7, NULL, 0);
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_vcpu_syscall_cb(id, called);
  return 0;
}
