# How everything is compiled, what is ours and the engines alike.

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
add_compile_options(-ffunction-sections -fdata-sections)
# stable-diffusion.cpp needs the longer names; struct ggml_tensor must look the same to every user of ggml.
add_compile_definitions(GGML_MAX_NAME=128)
