# The library with its version, the headers for other programs, and what find_package(reluflow) and
# pkg-config read. The package files name no absolute path, so that a prefix can be moved.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

# The first number of the version is that of the functions and operators: one that is changed gets a
# new name or version, so it rises only when one is taken away.
set_target_properties(reluflow PROPERTIES
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
target_include_directories(reluflow INTERFACE
  $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
add_library(reluflow::reluflow ALIAS reluflow)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/reluflow)
install(TARGETS reluflow EXPORT reluflowTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES include/reluflow/calls.h include/reluflow/operators.h include/reluflow/version.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/reluflow)
install(EXPORT reluflowTargets NAMESPACE reluflow:: DESTINATION ${package})

# Before 1.0 the second number rises with what is not compatible.
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/reluflowConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES cmake/reluflowConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/reluflowConfigVersion.cmake
  DESTINATION ${package})

set(pkgconfig ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH prefix_from_pkgconfig
  ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/reluflow.pc.in reluflow.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/reluflow.pc DESTINATION ${pkgconfig})
