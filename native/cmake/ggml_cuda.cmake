# ggml's CUDA backend for one kind of NVIDIA GPU, linked statically into ggml.
#
# Not by ggml's own CMakeLists.txt, which needs a CUDA toolkit. SE_CUDA_KERNELS_DIR: the object files that
# sphere_edge/toolchain/ggml_cuda.py makes; SE_CUDA_RUNTIME: NVIDIA's libcudart_static.a, which looks for the driver when
# it is used; SE_CUDA_ARCHITECTURE: what the GPU's code was made for, as `sm_87`, or `sm_120a` for one GPU alone.
# src/engines/ggml_cuda.cpp finds cuBLAS.

file(GLOB kernels "${SE_CUDA_KERNELS_DIR}/*.o")
if(NOT kernels)
  message(FATAL_ERROR "SE_CUDA_KERNELS_DIR holds no object files: `${SE_CUDA_KERNELS_DIR}`")
endif()
set_source_files_properties(${kernels} PROPERTIES EXTERNAL_OBJECT ON)

add_library(ggml-cuda STATIC ${kernels} src/engines/ggml_cuda.cpp)
target_include_directories(ggml-cuda PRIVATE src src/engines/cuda_headers)
target_compile_features(ggml-cuda PRIVATE cxx_std_20)
target_compile_definitions(ggml-cuda PRIVATE SE_CUDA_ARCHITECTURE="${SE_CUDA_ARCHITECTURE}")
target_compile_options(ggml-cuda PRIVATE -Wall -Wextra -Werror)
find_package(Threads REQUIRED)
target_link_libraries(ggml-cuda PRIVATE se_ggml_headers "${SE_CUDA_RUNTIME}" ${CMAKE_DL_LIBS} Threads::Threads rt)
