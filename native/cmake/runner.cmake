# The program for devices and measurements.

set(shared_sources "")
if(NOT SE_STATIC)
  # The library does not export these; a static one has them already.
  set(shared_sources src/base/cpu.cpp)
endif()
add_executable(sphere-edge-run runner/cpu_gate.c)
se_add_batch(sphere-edge-run
  ${shared_sources}
  runner/arguments.cpp
  runner/certify.cpp
  runner/generate.cpp
  runner/generate_image.cpp
  runner/main.cpp
  runner/measure.cpp
  runner/model.cpp
  runner/png.cpp
  runner/ppm.cpp
  runner/reference.cpp
  runner/transcribe.cpp
  runner/wav.cpp)
if(NOT SE_STATIC)
  target_sources(sphere-edge-run PRIVATE src/base/cpu_features.c src/base/cpu_features_needed.c)
endif()
se_own_target(sphere-edge-run)
set_target_properties(sphere-edge-run PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
target_include_directories(sphere-edge-run PRIVATE src)
target_include_directories(sphere-edge-run SYSTEM PRIVATE "${SE_LLAMA_CPP_DIR}/vendor")
target_link_libraries(sphere-edge-run PRIVATE sphere_edge)
if(SE_STATIC)
  target_link_options(sphere-edge-run PRIVATE -static -Wl,--gc-sections)
  if(SE_TVM_DIR)
    # An archive's files are linked when something calls them, and registering themselves is all that these do.
    se_link_tvm_runtime(sphere-edge-run)
  endif()
elseif(NOT APPLE)
  # Copied to a device it lies beside its libraries; in a build folder they are in lib/.
  target_link_options(sphere-edge-run PRIVATE "-Wl,-rpath,$ORIGIN:$ORIGIN/../lib" -Wl,--gc-sections)
endif()
