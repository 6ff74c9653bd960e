# TVM's runtime from the sources in its wheels, for systems that it has no libraries for: only what compiled models need.
#
# The copy makes their relative includes find the headers that the wheels lack (src/tvm/runtime).
set(tvm "${CMAKE_BINARY_DIR}/tvm/src")
file(COPY "${SE_TVM_DIR}/src/runtime" "${CMAKE_CURRENT_SOURCE_DIR}/src/tvm/runtime/support" DESTINATION "${tvm}")
set(ffi "${SE_TVM_FFI_DIR}/src/ffi")

# Without TVM's thread pool: loops.cpp has what models call.
add_library(se_tvm_runtime OBJECT
  "${ffi}/backtrace.cc"
  "${ffi}/container.cc"
  "${ffi}/custom_allocator.cc"
  "${ffi}/dtype.cc"
  "${ffi}/error.cc"
  "${ffi}/function.cc"
  "${ffi}/init_once.cc"
  "${ffi}/object.cc"
  "${ffi}/tensor.cc"
  "${ffi}/extra/env_c_api.cc"
  "${ffi}/extra/env_context.cc"
  "${ffi}/extra/json_parser.cc"
  "${ffi}/extra/json_writer.cc"
  "${ffi}/extra/library_module.cc"
  "${ffi}/extra/module.cc"
  "${tvm}/runtime/cpu_device_api.cc"
  "${tvm}/runtime/device_api.cc"
  "${tvm}/runtime/file_utils.cc"
  "${tvm}/runtime/logging.cc"
  "${tvm}/runtime/memory/memory_manager.cc"
  "${tvm}/runtime/module.cc"
  "${tvm}/runtime/tensor.cc"
  "${tvm}/runtime/vm/builtin.cc"
  "${tvm}/runtime/vm/bytecode.cc"
  "${tvm}/runtime/vm/executable.cc"
  "${tvm}/runtime/vm/vm.cc"
  "${tvm}/runtime/workspace_pool.cc")
set(tvm_includes
  "${CMAKE_CURRENT_SOURCE_DIR}/src/tvm/runtime/include"
  "${SE_TVM_FFI_DIR}/include"
  "${SE_TVM_FFI_DIR}/include/dlpack"
  "${SE_TVM_DIR}/include")
target_include_directories(se_tvm_runtime SYSTEM PRIVATE ${tvm_includes})
target_compile_features(se_tvm_runtime PRIVATE cxx_std_20)
# TVM's headers ask the C library for the byte order in a way that musl does not know.
target_compile_definitions(se_tvm_runtime PRIVATE TVM_FFI_USE_LIBBACKTRACE=0 TVM_FFI_CMAKE_LITTLE_ENDIAN=1)
target_compile_options(se_tvm_runtime PRIVATE -w)
# Models call the functions of these names in loops.cpp, which call TVM's.
set_source_files_properties("${tvm}/runtime/device_api.cc" PROPERTIES COMPILE_DEFINITIONS
  "TVMBackendAllocWorkspace=TVMBackendAllocWorkspaceOfPool;TVMBackendFreeWorkspace=TVMBackendFreeWorkspaceOfPool")

# Puts the runtime and our way to load models into it into a program or library.
function(se_link_tvm_runtime target)
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:se_tvm_runtime> src/tvm/runtime/load_model.cpp)
  target_include_directories(${target} SYSTEM PRIVATE ${tvm_includes} "${ffi}/extra")
  target_compile_definitions(${target} PRIVATE TVM_FFI_CMAKE_LITTLE_ENDIAN=1)
endfunction()
