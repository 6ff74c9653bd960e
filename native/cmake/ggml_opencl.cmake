# ggml's OpenCL backend with its kernels for Adreno, linked statically into ggml.
#
# Not by ggml's own CMakeLists.txt, which needs a vendor's library to link with: src/engines/ggml_opencl_loader.cpp finds
# that on the device, and src/engines/opencl_headers stands in for the headers.

set(opencl "${SE_LLAMA_CPP_DIR}/ggml/src/ggml-opencl")
set(kernels "${CMAKE_BINARY_DIR}/opencl-kernels")
file(GLOB sources "${opencl}/kernels/*.cl")
foreach(source ${sources})
  get_filename_component(name "${source}" NAME)
  # Each line becomes a string of its own: compilers limit how long one may be.
  file(READ "${source}" text)
  string(REGEX REPLACE "([^\n]*\n)" "R\"(\\1)\"\n" text "${text}\n")
  file(WRITE "${kernels}/${name}.h" "${text}")
endforeach()

add_library(ggml-opencl STATIC "${opencl}/ggml-opencl.cpp" "${opencl}/cl-program-cache.cpp"
                               src/engines/ggml_opencl_loader.cpp)
# Before the system's, which may have a CL/cl.h.
target_include_directories(ggml-opencl BEFORE PRIVATE src/engines/opencl_headers)
target_include_directories(ggml-opencl PRIVATE src)
target_include_directories(ggml-opencl SYSTEM PRIVATE "${SE_LLAMA_CPP_DIR}/ggml/src" "${kernels}")
target_compile_features(ggml-opencl PRIVATE cxx_std_17)
target_compile_definitions(ggml-opencl PRIVATE GGML_OPENCL_SOA_Q GGML_OPENCL_EMBED_KERNELS
                                               GGML_OPENCL_USE_ADRENO_KERNELS GGML_OPENCL_TARGET_VERSION=300)
target_compile_options(ggml-opencl PRIVATE -w)
target_link_libraries(ggml-opencl PRIVATE se_ggml_headers ${CMAKE_DL_LIBS})
