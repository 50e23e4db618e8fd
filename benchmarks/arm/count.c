/* A plugin of QEMU that prints how many instructions a program has run, at each of its calls of
 * getppid: a program calls it before and after what is to be counted.
 *
 * The declarations are those of version 1 of QEMU's interface, qemu-plugin.h, which Debian's
 * packages leave out. Threads add to one number without a lock, so that programs of one thread only
 * are counted exactly. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef uint64_t PluginId;
struct qemu_plugin_tb;

enum { INLINE_ADD_U64 = 0, GETPPID = 173 /* on 64-bit ARM */ };

extern void qemu_plugin_register_vcpu_tb_trans_cb(PluginId,
                                                  void (*)(PluginId, struct qemu_plugin_tb*));
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb*, int, void*, uint64_t);
extern void qemu_plugin_register_vcpu_syscall_cb(PluginId,
                                                 void (*)(PluginId, unsigned, int64_t, uint64_t,
                                                          uint64_t, uint64_t, uint64_t, uint64_t,
                                                          uint64_t, uint64_t, uint64_t));

int qemu_plugin_version = 1;

static uint64_t count;

static void translated(PluginId id, struct qemu_plugin_tb* block) {
  (void)id;
  qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD_U64, &count,
                                           qemu_plugin_tb_n_insns(block));
}

static void called(PluginId id, unsigned cpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                   uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
  (void)id, (void)cpu, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7,
      (void)a8;
  if (number == GETPPID) fprintf(stderr, "instructions %llu\n", (unsigned long long)count);
}

int qemu_plugin_install(PluginId id, const void* info, int argc, char** argv) {
  (void)info;
  (void)argc;
  (void)argv;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_vcpu_syscall_cb(id, called);
  return 0;
}
