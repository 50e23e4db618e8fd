// For wheels: lets a library that was built with a new glibc load with an older one. The C++
// library and the unwinder, which are linked in, would take five symbols from glibc 2.32 to 2.35.
// They find them here, or in the versions that every glibc has. Part of the library with
// RELUFLOW_OLD_GLIBC.
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>

#include <algorithm>
#include <cstddef>
#include <limits>

#if defined(__x86_64__)
#define OLD(name, function) __asm__(".symver " #name ", " #function "@GLIBC_2.2.5")
#else
#define OLD(name, function) __asm__(".symver " #name ", " #function "@GLIBC_2.17")
#endif

namespace {

struct Search {
  ElfW(Addr) address;
  dl_find_object* found;
};

// Fills `found` where the address lies in this loaded object and it has a table of frames.
int look(dl_phdr_info* info, size_t, void* data) {
  const auto* search = static_cast<Search*>(data);
  bool inside = false;
  ElfW(Addr) first = std::numeric_limits<ElfW(Addr)>::max();
  ElfW(Addr) last = 0;
  void* frames = nullptr;
  for (size_t i = 0; i < info->dlpi_phnum; ++i) {
    const auto& part = info->dlpi_phdr[i];
    const ElfW(Addr) begin = info->dlpi_addr + part.p_vaddr;
    if (part.p_type == PT_LOAD) {
      inside = inside || search->address - begin < part.p_memsz;
      first = std::min(first, begin);
      last = std::max(last, begin + part.p_memsz);
    } else if (part.p_type == PT_GNU_EH_FRAME) {
      frames = reinterpret_cast<void*>(begin);
    }
  }
  if (!inside || frames == nullptr) {
    return 0;
  }
  *search->found = {};
  search->found->dlfo_map_start = reinterpret_cast<void*>(first);
  search->found->dlfo_map_end = reinterpret_cast<void*>(last);
  search->found->dlfo_eh_frame = frames;
  return 1;
}

}  // namespace

extern "C" {

// Since 2.32, whether there is one thread alone, so that counters need no locks: "no" is always
// safe.
char __libc_single_threaded = 0;

// Since 2.35, what unwinding asks for a frame; before it asked dl_iterate_phdr, as here.
int _dl_find_object(void* address, dl_find_object* found) noexcept {
  Search search{reinterpret_cast<ElfW(Addr)>(address), found};
  return dl_iterate_phdr(look, &search) == 1 ? 0 : -1;
}

// Since 2.34 in the C library itself; the linker turns calls into those of the wrappers.
int old_once(pthread_once_t* once, void (*function)());
int old_key_create(pthread_key_t* key, void (*destroy)(void*));
OLD(old_once, pthread_once);
OLD(old_key_create, __pthread_key_create);

int __wrap_pthread_once(pthread_once_t* once, void (*function)()) {
  return old_once(once, function);
}

int __wrap___pthread_key_create(pthread_key_t* key, void (*destroy)(void*)) {
  return old_key_create(key, destroy);
}
}
