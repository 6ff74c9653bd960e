# ggml's Vulkan backend, linked statically into ggml: its shaders are compiled by glslc, a program of this machine.
#
# Not by ggml's own CMakeLists.txt, which links libvulkan, wants one for the target and a second C++ compiler for this
# machine. SE_GGML_VULKAN_DIR: its sources; SE_VULKAN_INCLUDE_DIR: where vulkan/ and spirv/ lie; SE_GLSLC; SE_HOST_CXX: a
# compiler for this machine, as a list of words.

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

# Extensions of GLSL that this glslc knows; shaders that need others are left out.
set(features "")
foreach(feature "coopmat=COOPMAT" "coopmat2=COOPMAT2" "coopmat2_decode_vector=COOPMAT2_DECODE_VECTOR"
                "integer_dot=INTEGER_DOT" "bfloat16=BFLOAT16" "float_e2m1=FLOAT_E2M1" "float_e4m3=FLOAT_E4M3")
  string(REGEX MATCH "^(.*)=(.*)$" both "${feature}")
  execute_process(COMMAND "${SE_GLSLC}" -o - -fshader-stage=compute --target-env=vulkan1.3
                          "${vulkan}/vulkan-shaders/feature-tests/${CMAKE_MATCH_1}.comp"
                  RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  if(NOT failed)
    list(APPEND features "GGML_VULKAN_${CMAKE_MATCH_2}_GLSLC_SUPPORT")
  endif()
endforeach()
message(STATUS "glslc knows: ${features}")

set(generated "${CMAKE_BINARY_DIR}/vulkan-shaders")
set(generator "${generated}/vulkan-shaders-gen")
file(MAKE_DIRECTORY "${generated}")
list(TRANSFORM features PREPEND "-D" OUTPUT_VARIABLE feature_flags)
add_custom_command(OUTPUT "${generator}"
  COMMAND ${SE_HOST_CXX} -O1 -std=c++17 ${feature_flags} "${vulkan}/vulkan-shaders/vulkan-shaders-gen.cpp" -o "${generator}"
          -lpthread
  DEPENDS "${vulkan}/vulkan-shaders/vulkan-shaders-gen.cpp")
add_custom_command(OUTPUT "${generated}/ggml-vulkan-shaders.hpp"
  COMMAND "${generator}" --output-dir "${generated}/spv" --target-hpp "${generated}/ggml-vulkan-shaders.hpp"
  DEPENDS "${generator}")
file(GLOB shaders "${vulkan}/vulkan-shaders/*.comp")
set(shader_sources "")
foreach(shader ${shaders})
  get_filename_component(name "${shader}" NAME)
  add_custom_command(OUTPUT "${generated}/${name}.cpp"
    COMMAND "${generator}" --glslc "${SE_GLSLC}" --source "${shader}" --output-dir "${generated}/spv"
            --target-hpp "${generated}/ggml-vulkan-shaders.hpp" --target-cpp "${generated}/${name}.cpp"
    DEPENDS "${generator}" "${generated}/ggml-vulkan-shaders.hpp")
  list(APPEND shader_sources "${generated}/${name}.cpp")
endforeach()

add_library(ggml-vulkan STATIC
  "${vulkan}/ggml-vulkan.cpp" "${vulkan}/ggml-vulkan-buffers.cpp" "${vulkan}/ggml-vulkan-debug.cpp"
  ${shader_sources} "${generated}/ggml-vulkan-shaders.hpp" src/engines/vulkan_loader.c)
target_include_directories(ggml-vulkan SYSTEM PRIVATE "${vulkan_headers}" "${SE_LLAMA_CPP_DIR}/ggml/src" "${generated}")
target_compile_features(ggml-vulkan PRIVATE cxx_std_17)
target_compile_definitions(ggml-vulkan PRIVATE ${features})
target_compile_options(ggml-vulkan PRIVATE -w
  "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-include \"${CMAKE_CURRENT_SOURCE_DIR}/src/engines/vulkan_headers.h\">")
target_link_libraries(ggml-vulkan PRIVATE ggml-base ${CMAKE_DL_LIBS})
target_compile_definitions(ggml PRIVATE GGML_USE_VULKAN)
target_link_libraries(ggml PRIVATE ggml-vulkan)
