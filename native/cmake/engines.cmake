# The third-party engines, all compiled against llama.cpp's ggml, linked statically.

if(NOT EXISTS "${SE_LLAMA_CPP_DIR}/include/llama.h")
  message(FATAL_ERROR "SE_LLAMA_CPP_DIR does not hold llama.cpp: `${SE_LLAMA_CPP_DIR}`")
endif()

# The engines declare their options themselves; what is set here wins.
set(CMAKE_POLICY_DEFAULT_CMP0077 NEW)
set(CMAKE_POLICY_VERSION_MINIMUM 3.5)
set(CMAKE_SUPPRESS_DEVELOPER_WARNINGS ON CACHE INTERNAL "")

# stable-diffusion.cpp needs the longer names; struct ggml_tensor must look the same to every user of ggml.
add_compile_definitions(GGML_MAX_NAME=128)

set(BUILD_SHARED_LIBS OFF)
set(GGML_STATIC OFF)
set(GGML_BACKEND_DL OFF)
set(GGML_CCACHE OFF)
# On busy cores OpenMP falls to a quarter of the speed of ggml's own thread pool.
set(GGML_OPENMP OFF)
# The compiler's flags decide, for all files alike.
set(GGML_NATIVE OFF)
foreach(level SSE42 AVX AVX2 BMI2 FMA F16C)
  set(GGML_${level} OFF)
endforeach()

# Of ggml's backends for GPUs, for GGUF models, at most one.
if(SE_GGML_GPU STREQUAL "metal")
  set(GGML_METAL ON)
  set(GGML_METAL_EMBED_LIBRARY ON)
else()
  set(GGML_METAL OFF)
endif()

set(LLAMA_ALL_WARNINGS OFF)
set(LLAMA_OPENSSL OFF)
set(LLAMA_SUBPROCESS OFF)
# No commit of whatever repository lies around the sources belongs into the build.
set(GIT_EXE OFF CACHE INTERNAL "")
foreach(part COMMON TESTS TOOLS EXAMPLES SERVER APP UI)
  set(LLAMA_BUILD_${part} OFF)
endforeach()
add_subdirectory("${SE_LLAMA_CPP_DIR}" engines/llama EXCLUDE_FROM_ALL)
if(SE_GGML_GPU MATCHES "^(vulkan|opencl|cuda)$")
  include(cmake/ggml_${SE_GGML_GPU}.cmake)
endif()
# llama.cpp compiles its models in batches, which read the headers once; these files get along in one, too.
foreach(part adapter arch batch chat context cparams graph hparams impl io kv-cache kv-cache-dsa kv-cache-dsa-iswa
             kv-cache-iswa kv-cache-msa memory memory-hybrid memory-hybrid-idx memory-hybrid-iswa memory-recurrent mmap
             model-loader model-saver)
  set_source_files_properties("llama-${part}.cpp" "${SE_LLAMA_CPP_DIR}/src/llama-${part}.cpp"
                              TARGET_DIRECTORY llama PROPERTIES SKIP_UNITY_BUILD_INCLUSION OFF)
endforeach()

# Of llama.cpp's `common` only the chat template engine and the JSON schema converter are wanted. The converter needs
# four string functions of common.cpp, which would bring argument parsing and downloads along;
# src/engines/common_strings.cpp stands in for them.
set(llama_common "${SE_LLAMA_CPP_DIR}/common")
add_library(se_llama_common STATIC
  # In one batch these two come first: they specialize templates that the others use.
  "${llama_common}/json.cpp"
  "${llama_common}/jinja/value.cpp"
  "${llama_common}/jinja/caps.cpp"
  "${llama_common}/jinja/lexer.cpp"
  "${llama_common}/jinja/parser.cpp"
  "${llama_common}/jinja/runtime.cpp"
  "${llama_common}/jinja/string.cpp"
  "${llama_common}/json-schema.cpp"
  "${llama_common}/json-schema-to-grammar.cpp"
  "${llama_common}/trie.cpp"
  "${llama_common}/unicode.cpp"
  src/engines/common_strings.cpp)
target_include_directories(se_llama_common SYSTEM PUBLIC "${llama_common}" "${SE_LLAMA_CPP_DIR}/vendor")
target_compile_features(se_llama_common PUBLIC cxx_std_17)
set_target_properties(se_llama_common PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
target_compile_options(se_llama_common PRIVATE -w)
target_link_libraries(se_llama_common PUBLIC llama)

# whisper.cpp is one file, which src/engines/whisper_state.cpp includes.
if(SE_WHISPER_CPP_DIR)
  if(NOT EXISTS "${SE_WHISPER_CPP_DIR}/src/whisper.cpp")
    message(FATAL_ERROR "SE_WHISPER_CPP_DIR does not hold whisper.cpp: `${SE_WHISPER_CPP_DIR}`")
  endif()
  find_package(Threads REQUIRED)
  add_library(se_whisper STATIC src/engines/whisper_state.cpp)
  target_include_directories(se_whisper SYSTEM PUBLIC "${SE_WHISPER_CPP_DIR}/include" PRIVATE "${SE_WHISPER_CPP_DIR}/src")
  target_include_directories(se_whisper PRIVATE src)
  target_compile_features(se_whisper PRIVATE cxx_std_20)
  target_compile_options(se_whisper PRIVATE -w)
  target_compile_definitions(se_whisper PRIVATE WHISPER_VERSION="1.8.5")
  target_link_libraries(se_whisper PUBLIC ggml Threads::Threads)
endif()

# stable-diffusion.cpp's headers hold its models, so src/engines/diffusion_model.cpp includes its main file. Left out:
# its tokenizers' tables, readers of pickles (see src/engines/diffusion_tables.cpp) and its own converter.
if(SE_STABLE_DIFFUSION_CPP_DIR)
  if(NOT EXISTS "${SE_STABLE_DIFFUSION_CPP_DIR}/src/stable-diffusion.cpp")
    message(FATAL_ERROR
      "SE_STABLE_DIFFUSION_CPP_DIR does not hold stable-diffusion.cpp: `${SE_STABLE_DIFFUSION_CPP_DIR}`")
  endif()
  find_package(Threads REQUIRED)
  set(diffusion_sources ggml_graph_cut model name_conversion sample-cache upscaler util model_io/gguf_io
    model_io/safetensors_io tokenizers/bpe_tokenizer tokenizers/clip_tokenizer tokenizers/mistral_tokenizer
    tokenizers/qwen2_tokenizer tokenizers/t5_unigram_tokenizer tokenizers/tokenize_util tokenizers/tokenizer)
  list(TRANSFORM diffusion_sources PREPEND "${SE_STABLE_DIFFUSION_CPP_DIR}/src/")
  list(TRANSFORM diffusion_sources APPEND ".cpp")
  add_library(se_diffusion STATIC
    ${diffusion_sources}
    "${SE_STABLE_DIFFUSION_CPP_DIR}/thirdparty/zip.c"
    src/engines/diffusers_names.cpp
    src/engines/diffusion_file.cpp
    src/engines/diffusion_model.cpp
    src/engines/diffusion_tables.cpp
    src/base/sha256.cpp)
  target_include_directories(se_diffusion SYSTEM PRIVATE "${SE_STABLE_DIFFUSION_CPP_DIR}"
    "${SE_STABLE_DIFFUSION_CPP_DIR}/src" "${SE_STABLE_DIFFUSION_CPP_DIR}/include"
    "${SE_STABLE_DIFFUSION_CPP_DIR}/thirdparty"
    # One file includes ../ggml/src/ggml-impl.h, which must be the one of our ggml.
    "${SE_LLAMA_CPP_DIR}/include")
  target_include_directories(se_diffusion PRIVATE include src)
  target_compile_features(se_diffusion PRIVATE cxx_std_20)
  target_compile_options(se_diffusion PRIVATE -w)
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    # clang 22's loop vectorizer computes `wrap[i % n]` of a branch that is not taken before the loop, also where n is 0:
    # Rope::rope ended by SIGFPE. The arithmetic that takes time is ggml's.
    target_compile_options(se_diffusion PRIVATE -fno-vectorize)
  endif()
  target_link_libraries(se_diffusion PUBLIC ggml Threads::Threads)
endif()
