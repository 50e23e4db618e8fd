# find_package(reluflow) gives the target reluflow::reluflow.
include(${CMAKE_CURRENT_LIST_DIR}/reluflowTargets.cmake)
