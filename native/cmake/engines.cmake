# The third-party engines: finished archives from SE_ENGINES_DIR, or compiled along (see engines/CMakeLists.txt).

if(NOT EXISTS "${SE_LLAMA_CPP_DIR}/include/llama.h")
  message(FATAL_ERROR "SE_LLAMA_CPP_DIR does not hold llama.cpp: `${SE_LLAMA_CPP_DIR}`")
endif()
set(llama "${SE_LLAMA_CPP_DIR}")
find_package(Threads REQUIRED)

# ggml's headers, for its GPU backends and its list of backends.
add_library(se_ggml_headers INTERFACE)
target_include_directories(se_ggml_headers SYSTEM INTERFACE "${llama}/ggml/include" "${llama}/ggml/src")
target_compile_definitions(se_ggml_headers INTERFACE _GNU_SOURCE _XOPEN_SOURCE=600)

# All engines that are linked, and their headers.
add_library(se_engines INTERFACE)
target_include_directories(se_engines SYSTEM INTERFACE "${llama}/include" "${llama}/ggml/include" "${llama}/vendor"
                                                       "${llama}/common")
target_link_libraries(se_engines INTERFACE Threads::Threads ${CMAKE_DL_LIBS})
if(SE_WHISPER_CPP_DIR)
  # Also without that part: our files are compiled once for builds with it and without it.
  target_include_directories(se_engines SYSTEM INTERFACE "${SE_WHISPER_CPP_DIR}/include")
endif()

# ggml's list of its backends: the one file of ggml that depends on which there are.
if("ggml" IN_LIST SE_PARTS)
  add_library(se_ggml_backends STATIC "${llama}/ggml/src/ggml-backend-reg.cpp" "${llama}/ggml/src/ggml-backend-dl.cpp")
  target_compile_features(se_ggml_backends PRIVATE cxx_std_17)
  target_compile_options(se_ggml_backends PRIVATE -w)
  target_compile_definitions(se_ggml_backends PRIVATE GGML_USE_CPU)
  target_link_libraries(se_ggml_backends PRIVATE se_ggml_headers)
  target_link_libraries(se_engines INTERFACE se_ggml_backends)
endif()
if(SE_GGML_GPU STREQUAL "metal")
  list(APPEND SE_PARTS metal)
  target_compile_definitions(se_ggml_backends PRIVATE GGML_USE_METAL)
  foreach(framework Foundation Metal MetalKit)
    target_link_libraries(se_engines INTERFACE "-framework ${framework}")
  endforeach()
elseif(SE_GGML_GPU)
  include(cmake/ggml_${SE_GGML_GPU}.cmake)
  string(TOUPPER "GGML_USE_${SE_GGML_GPU}" used)
  target_compile_definitions(se_ggml_backends PRIVATE ${used})
  target_link_libraries(se_engines INTERFACE ggml-${SE_GGML_GPU})
endif()

if(SE_LIBCXX)
  set(CMAKE_CXX_STANDARD_LIBRARIES "-nostdlib++ \"${SE_LIBCXX}\" -lunwind")
endif()

if(SE_ENGINES_DIR)
  foreach(folder ${SE_ENGINES_DIR})
    file(GLOB archives "${folder}/*.a")
    if(NOT archives)
      message(FATAL_ERROR "SE_ENGINES_DIR holds no archives: `${folder}`")
    endif()
    target_link_libraries(se_engines INTERFACE ${archives})
  endforeach()
else()
  add_subdirectory(engines)
  foreach(part ${SE_PARTS})
    get_property(targets DIRECTORY engines PROPERTY SE_TARGETS_${part})
    target_link_libraries(se_engines INTERFACE ${targets})
  endforeach()
endif()
