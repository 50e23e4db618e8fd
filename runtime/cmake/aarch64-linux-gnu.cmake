# Builds for 64-bit ARM on another machine, with Debian's compilers, and runs its tests in QEMU:
#   cmake -S runtime -B build/aarch64 -DCMAKE_TOOLCHAIN_FILE=runtime/cmake/aarch64-linux-gnu.cmake
# RELUFLOW_QEMU_CPU is the processor that QEMU plays, such as cortex-a53, which has no dot products.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(RELUFLOW_QEMU_CPU max CACHE STRING "the processor that the tests run on")
set(CMAKE_CROSSCOMPILING_EMULATOR
  qemu-aarch64 -cpu ${RELUFLOW_QEMU_CPU} -L /usr/aarch64-linux-gnu)
