# ggml's Vulkan backend, linked statically into ggml.
#
# Not by ggml's own CMakeLists.txt, which links libvulkan, needs one for the target and a second C++ compiler for this
# machine. SE_GGML_VULKAN_DIR: its sources; SE_VULKAN_INCLUDE_DIR: where vulkan/ and spirv/ lie; SE_VULKAN_SHADERS_DIR:
# what sphere_edge/toolchain/vulkan_shaders.py makes of its shaders.

set(vulkan "${SE_GGML_VULKAN_DIR}/ggml/src/ggml-vulkan")
if(NOT EXISTS "${vulkan}/ggml-vulkan.cpp")
  message(FATAL_ERROR "SE_GGML_VULKAN_DIR does not hold ggml's Vulkan backend: `${SE_GGML_VULKAN_DIR}`")
endif()

# Nothing else of the system's headers may be seen by a compiler for another system.
set(vulkan_headers "${CMAKE_BINARY_DIR}/vulkan-headers")
file(MAKE_DIRECTORY "${vulkan_headers}")
foreach(part vulkan vk_video spirv)
  if(EXISTS "${SE_VULKAN_INCLUDE_DIR}/${part}")
    file(CREATE_LINK "${SE_VULKAN_INCLUDE_DIR}/${part}" "${vulkan_headers}/${part}" SYMBOLIC)
  endif()
endforeach()

file(STRINGS "${SE_VULKAN_SHADERS_DIR}/features" features)

add_library(ggml-vulkan STATIC
  "${vulkan}/ggml-vulkan.cpp" "${vulkan}/ggml-vulkan-buffers.cpp" "${vulkan}/ggml-vulkan-debug.cpp"
  "${SE_VULKAN_SHADERS_DIR}/tables.cpp" "${SE_VULKAN_SHADERS_DIR}/shaders.c" src/engines/vulkan_loader.c)
target_include_directories(ggml-vulkan SYSTEM PRIVATE "${vulkan_headers}" "${SE_LLAMA_CPP_DIR}/ggml/src"
                                                      "${SE_VULKAN_SHADERS_DIR}")
target_compile_features(ggml-vulkan PRIVATE cxx_std_17)
target_compile_definitions(ggml-vulkan PRIVATE ${features})
target_compile_options(ggml-vulkan PRIVATE -w
  "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-include \"${CMAKE_CURRENT_SOURCE_DIR}/src/engines/vulkan_headers.h\">")
target_link_libraries(ggml-vulkan PRIVATE se_ggml_headers ${CMAKE_DL_LIBS})
